//! Goal: a hostile file is refused, whatever it is, within a second of processor time and 64 MiB of memory. Method: the limits
//! are the operating system's: a shell sets them and then becomes the binary, so that a file that needs more ends it by a
//! signal or a failed allocation, and not with exit code 2.
#![cfg(target_os = "linux")]

use std::process::Command;

use super::folder::{Folder, SMALL};

/// KiB of address space, which is more than what is in use.
const MEMORY_KIB: u32 = 64 * 1024;

const LIMITED: &str = "ulimit -v \"$0\"; ulimit -t 1; exec \"$@\"";

/// Exit code and stderr of the binary under the limits, in `folder`.
fn limited(folder: &Folder, memory_kib: u32, args: &[&str]) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_hookproof");
    let output = Command::new("sh")
        .args(["-c", LIMITED, &memory_kib.to_string(), binary])
        .args(args)
        .current_dir(folder.path("."))
        .output()
        .expect("sh starts");
    (output.status.code(), String::from_utf8(output.stderr).expect("messages are UTF-8"))
}

fn refused(name: &str, folder: &Folder, file: &str) {
    for verb in ["validate", "run"] {
        let (exit, stderr) = limited(folder, MEMORY_KIB, &[verb, file]);
        let shown: String = stderr.chars().take(500).collect();
        assert_eq!(exit, Some(2), "{verb} of {name}: {shown}");
        assert!(stderr.len() < 300_000, "{verb} of {name} says {} bytes", stderr.len());
        assert!(!stderr.trim().is_empty(), "{verb} of {name} says nothing");
    }
}

/// `SMALL` with a line in place of another.
fn small_but(old: &str, new: &str) -> String {
    assert!(SMALL.contains(old), "{old}");
    SMALL.replace(old, new)
}

fn hostile_scenarios() -> Vec<(&'static str, String)> {
    let users = "population = 100";
    let duration = "duration = \"60s\"";
    let visits = "visits     = { mean = 2.0, per = \"60s\" }";
    vec![
        ("a population of 10^18", small_but(users, "population = 1_000_000_000_000_000_000")),
        ("a population of 4 billion", small_but(users, "population = 4_000_000_000")),
        ("a population that is not a number", small_but(users, "population = nan")),
        ("10^12 years", small_but(duration, "duration = \"365250000000000d\"")),
        ("a duration of a million digits", small_but(duration, &format!("duration = \"{}s\"", "9".repeat(1_000_000)))),
        ("a hundred years", small_but(duration, "duration = \"36500d\"")),
        ("10^9 visits in a nanosecond", small_but(visits, "visits = { mean = 1e9, per = \"1ns\" }")),
        ("an infinite mean", small_but(visits, "visits = { mean = inf, per = \"60s\" }")),
        ("a billion a second", traffic("kind = \"steady\"\nrate = \"1000000000/s\"")),
        ("a ramp to a billion a second", traffic("kind = \"ramp\"\nfrom = \"0/s\"\nto = \"1000000000/s\"")),
        (
            "spikes on spikes",
            traffic(&"kind = \"spike\"\nat = \"1s\"\nfor = \"9s\"\nfactor = 1e6\n[[traffic]]\n".repeat(400)),
        ),
        ("bursts of a nanosecond", traffic("kind = \"burst\"\nrate = \"1/s\"\nlength = \"1ns\"\nevery = \"1ns\"")),
        ("a trace that is not there", traffic("kind = \"trace\"\nfile = \"nowhere.csv\"")),
        ("a trace without an end", traffic("kind = \"trace\"\nfile = \"../../../../../../../../dev/zero\"")),
        ("a folder for a trace", traffic("kind = \"trace\"\nfile = \"..\"")),
        (
            "retries that let no time pass",
            format!("{SMALL}[caller]\nretries = \"unlimited\"\npause = {{ from = \"0s\", to = \"1ns\" }}\n"),
        ),
        (
            "four billion retries",
            format!("{SMALL}[caller]\nretries = 4_000_000_000\npause = {{ from = \"0s\", to = \"0s\" }}\n"),
        ),
        ("nothing", String::new()),
        ("brackets", format!("a = {}", "[".repeat(1_000_000))),
        ("closed brackets", format!("a = {}{}", "[".repeat(400_000), "]".repeat(400_000))),
        ("tables in tables", format!("a = {}1{}", "{a=".repeat(200_000), "}".repeat(200_000))),
        ("dots", format!("{}a = 1", "a.".repeat(500_000))),
        ("headers", "[a.a.a.a]\n".repeat(100_000)),
        ("entries of faults", "[[fault]]\n".repeat(100_000)),
        ("entries of traffic", "[[traffic]]\nkind='trace'\nfile='x'\n".repeat(25_000)),
        ("keys", (0..80_000).fold(String::new(), |text, key| text + &format!("k{key} = 1\n"))),
        ("an error in each byte", "=".repeat(262_144)),
        ("an error in each line", "x\n".repeat(131_072)),
        ("one key in each line", "a=1\n".repeat(65_536)),
        ("an array of ones", format!("a=[{}]", "1,".repeat(131_000))),
        ("headers of the largest file", "[a.a.a.a]\n".repeat(26_000)),
        ("newlines", "\n".repeat(262_144)),
        ("quotes", "\"".repeat(1_048_576)),
        ("one long line", format!("a = '{}' b = 3", "ü".repeat(500_000))),
        ("a little too much", " ".repeat(1_048_577)),
        ("much too much", " ".repeat(20 << 20)),
        ("zero bytes", "\0".repeat(1_000_000)),
    ]
}

fn traffic(entry: &str) -> String {
    format!("{SMALL}[[traffic]]\n{entry}\n")
}

#[test]
fn every_hostile_scenario_is_refused_in_a_second_and_64_mib() {
    for (name, source) in hostile_scenarios() {
        refused(name, &Folder::with(&[("hostile.toml", &source)]), "hostile.toml");
    }
}

#[test]
fn every_hostile_trace_is_refused_in_a_second_and_64_mib() {
    let header = "offset_s,arrivals\n";
    let rows =
        |count: u64, row: fn(u64) -> String| -> String { header.to_owned() + &(0..count).map(row).collect::<String>() };
    let traces = [
        ("rows without end", rows(900_000, |row| format!("{row},1\n"))),
        ("more arrivals than anything could bear", rows(400_000, |row| format!("{row},4294967295\n"))),
        ("rows that are all wrong", rows(900_000, |_| "x\n".to_owned())),
        ("rows that go backwards", rows(400_000, |row| format!("{},1\n", 500_000 - row))),
        ("newlines", header.to_owned() + &"\n".repeat(8_000_000)),
        ("one long line", header.to_owned() + &"1".repeat(8_000_000)),
        ("a number of a million digits", format!("{header}{}.5,1\n", "9".repeat(1_000_000))),
        ("zero bytes", "\0".repeat(8_000_000)),
        ("too much", "0".repeat(40 << 20)),
        ("nothing", String::new()),
    ];
    for (name, trace) in traces {
        let source =
            small_but("\"60s\"\ncalm", "\"36500d\"\ncalm") + "[[traffic]]\nkind = \"trace\"\nfile = \"t.csv\"\n";
        refused(name, &Folder::with(&[("hostile.toml", &source), ("t.csv", &trace)]), "hostile.toml");
    }
}

#[test]
fn many_traces_share_one_limit() {
    let trace = format!("offset_s,arrivals\n0,1\n{}", "#".repeat(7 << 20));
    let source = SMALL.to_owned() + &"[[traffic]]\nkind = \"trace\"\nfile = \"t.csv\"\n".repeat(500);
    refused("a trace five hundred times", &Folder::with(&[("a.toml", &source), ("t.csv", &trace)]), "a.toml");
}

/// What makes the tests above worth something: the limits let ordinary work pass, and do bite.
#[test]
fn the_limits_are_neither_idle_nor_in_the_way() {
    let folder = Folder::with(&[("a.toml", SMALL)]);
    let (exit, stderr) = limited(&folder, MEMORY_KIB, &["validate", "a.toml"]);
    assert_eq!(exit, Some(0), "{stderr}");
    let (exit, _) = limited(&folder, 2 * 1024, &["validate", "a.toml"]);
    assert!(!matches!(exit, Some(0 | 2)), "2 MiB can't be enough, and {exit:?} came of it");
}
