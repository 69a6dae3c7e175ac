//! Capability: whatever the bytes are, decoding them answers; and what it accepts can be run within its limits.
//!
//! Method: bolero. In `cargo test` each target first gets the inputs of its corpus in `__fuzz__`, if it has any, then
//! random ones for a second; `docs/fuzzing.md` says how to let them run for longer, with coverage or without. A scenario is
//! mutated by tokens rather than bytes, so that most mutations are still TOML and get far. A target fails by a panic; what could
//! hang is stopped by the count of its events, not by a clock.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hookproof_sim::run;
use hookproof_sim::scenario::{
    Attached, Estimate, HookKind, PROBLEMS_MAX, Scenario, ScenarioError, Secret, Surroundings, Whereabouts,
    decode_experiment, decode_hook, decode_lineage, decode_with_files,
};

/// What is run for real: an estimate of at most so many events.
const EVENTS_ESTIMATED_MAX: u64 = 20_000;

/// Seconds of a run times instances, at most: what is scheduled by the second and process is not in the estimate.
const SECONDS_MAX: f64 = 50_000.0;

/// Where a run that was estimated to be that small is called endless. The progress is told each 65,536 events.
const PROGRESS_TOLD_MAX: u32 = 32;

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
}

/// The tokens of every valid scenario of the repository.
fn scenarios() -> &'static [Vec<String>] {
    static TOKENS: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        toml_files(&root.join("tests/scenarios/good"), &mut paths);
        toml_files(&root.join("../scenarios"), &mut paths);
        paths.sort();
        assert!(paths.len() > 20, "{}", paths.len());
        paths.iter().map(|path| tokens(&fs::read_to_string(path).expect("a readable file"))).collect()
    })
}

/// Cuts TOML into names, numbers, strings, spaces and signs; together they are the text again.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            first if is_word(first) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            ' ' => rest.find(|c: char| c != ' ').unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = after;
    }
    tokens
}

/// Values at the edges of what keys take.
const VALUES: [&str; 44] = [
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "1e-9",
    "1e9",
    "1e18",
    "1e308",
    "-0.0",
    "nan",
    "inf",
    "255",
    "65536",
    "4_000_000_000",
    "9223372036854775807",
    "0x7f",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "\"0s\"",
    "\"1ns\"",
    "\"-1ns\"",
    "\"1us\"",
    "\"1ms\"",
    "\"1s\"",
    "\"20s\"",
    "\"1h\"",
    "\"36525d\"",
    "\"100000000w\"",
    "\"0/s\"",
    "\"1/d\"",
    "\"5/s\"",
    "\"1000000000/s\"",
    "\"unlimited\"",
    "\"unbounded\"",
    "\"app-1\"",
    "\"random\"",
    "\"even\"",
    "{ from = \"0s\", to = \"1ns\" }",
    "{ distribution = \"lognormal\", p50 = \"1ns\", p99 = \"36525d\" }",
    "{ zipf = 10, returning = 1, recent = 1 }",
];

/// One change of a text: what to do, where, and with what.
type Edit = (u8, u16, u16);

/// A scenario of the repository after some edits.
fn mutated(which: u8, edits: &[Edit]) -> String {
    let all = scenarios();
    edited(all[usize::from(which) % all.len()].clone(), edits)
}

/// A text after some edits, with tokens of the repository's scenarios.
fn edited(mut text: Vec<String>, edits: &[Edit]) -> String {
    let all = scenarios();
    for (kind, at, with) in edits.iter().take(8) {
        let (at, with) = (usize::from(*at) % text.len().max(1), usize::from(*with));
        let other = &all[with % all.len()];
        match kind % 7 {
            _ if text.is_empty() => break,
            0 => VALUES[with % VALUES.len()].clone_into(&mut text[at]),
            1 => text[at].clone_from(&other[with % other.len()]),
            2 => drop(text.remove(at)),
            3 => text.insert(at, other[(with / 7) % other.len()].clone()),
            4 => {
                let other_at = with % text.len();
                text.swap(at, other_at);
            }
            5 => {
                // A line again, or a line of another file.
                let from = with % other.len();
                let line: Vec<String> = other[from..].iter().take_while(|token| *token != "\n").cloned().collect();
                text.splice(at..at, ["\n".to_owned()].into_iter().chain(line).chain(["\n".to_owned()]));
            }
            _ => drop(text.drain(at..(at + with % 40).min(text.len()))),
        }
    }
    text.concat()
}

/// What a trace's file holds, whatever it is called.
fn decoded(source: &[u8], trace: &[u8]) -> Result<Scenario, ScenarioError> {
    let mut read_file = |path: &str| Ok(Attached { path: path.to_owned(), bytes: trace.to_owned() });
    let decoded = decode_with_files("fuzzed", "fuzzed.toml", source, &mut read_file);
    if let Err(error) = &decoded {
        assert!(!error.problems().is_empty() && error.problems().len() <= PROBLEMS_MAX);
        assert!(error.problems().iter().all(|problem| !problem.message.is_empty() && !problem.remedy.is_empty()));
        assert!(error.to_string().len() < 200_000, "a refusal of {} bytes", error.to_string().len());
    }
    decoded
}

/// Runs a scenario that says it is small, twice: it ends, and the same seed gives the same run.
fn run_if_small(scenario: &Scenario, seed: u64) {
    let Estimate { events, memory_bytes } = scenario.estimate();
    let seconds = (scenario.duration + scenario.calm).as_secs_f64() * f64::from(scenario.fleet.instances);
    if events > EVENTS_ESTIMATED_MAX || memory_bytes > 64 << 20 || seconds > SECONDS_MAX {
        return;
    }
    for hook in HookKind::ALL {
        let once = || {
            let mut told = 0;
            let outcome = run(scenario, hook, seed, &mut |_| {
                told += 1;
                assert!(
                    told < PROGRESS_TOLD_MAX,
                    "{events} events were estimated for {}, and it has no end",
                    hook.name()
                );
            });
            (outcome.digest, outcome.events)
        };
        assert_eq!(once(), once(), "{} with seed {seed}", hook.name());
    }
}

const TRACE: &[u8] = b"offset_s,arrivals\n0,3\n1.5,0\n2,7\n";

#[test]
fn arbitrary_bytes_are_a_scenario_or_refused() {
    bolero::check!().for_each(|source: &[u8]| {
        let _ = decoded(source, TRACE);
        let _ = decode_experiment("fuzzed.toml", source);
    });
}

#[test]
fn a_mutated_scenario_is_refused_or_runs_within_its_limits() {
    bolero::check!().with_type::<(u8, Vec<Edit>, u64)>().for_each(|(which, edits, seed)| {
        let source = mutated(*which, edits);
        let _ = decode_experiment("fuzzed.toml", source.as_bytes());
        if let Ok(scenario) = decoded(source.as_bytes(), TRACE) {
            run_if_small(&scenario, *seed);
        }
    });
}

#[test]
fn a_small_scenario_with_strange_settings_runs_within_its_limits() {
    const SMALL: &str = include_str!("good/small.toml");
    bolero::check!().with_type::<(Vec<(u16, u8)>, u64)>().for_each(|(values, seed)| {
        // Values only, so that nearly all of it decodes: every token after an equals sign may become another value.
        let mut text = tokens(SMALL);
        let places: Vec<usize> = (2..text.len()).filter(|at| text[at - 1] == " " && text[at - 2] == "=").collect();
        for (place, value) in values.iter().take(3) {
            text[places[usize::from(*place) % places.len()]] = VALUES[usize::from(*value) % VALUES.len()].to_owned();
        }
        if let Ok(scenario) = decoded(text.concat().as_bytes(), TRACE) {
            run_if_small(&scenario, *seed);
        }
    });
}

#[test]
fn a_mutated_file_of_a_hook_is_refused_or_whole() {
    const HOOK: &str = include_str!("good-hooks/every-setting.toml");
    bolero::check!().with_type::<(Vec<Edit>, bool)>().for_each(|(edits, is_found)| {
        let source = edited(tokens(HOOK), edits);
        let found = |path: &str| Attached { path: path.to_owned(), bytes: HOOK.as_bytes().to_owned() };
        let missing = || "it is not there".to_owned();
        let mut read_file = |path: &str| is_found.then(|| found(path)).ok_or_else(missing);
        let mut read_secret =
            |_: Whereabouts<'_>| is_found.then(|| Secret::new("0123456789abcdef")).ok_or_else(missing);
        let mut surroundings = Surroundings { read_file: &mut read_file, read_secret: &mut read_secret };
        let _ = decode_lineage("fuzzed.toml", source.as_bytes(), &mut surroundings);
        match decode_hook("fuzzed.toml", source.as_bytes(), &mut surroundings) {
            Ok(file) => assert!(file.hook_config().check().is_ok()),
            Err(error) => assert!(!error.problems().is_empty() && error.problems().len() <= PROBLEMS_MAX),
        }
    });
}

/// Everything but its trace is fine.
const PLAYED: &str = r#"
schema = 1
title = "Fuzzed trace"
duration = "1h"
[experiment]
id = "fuzzed"
[[experiment.variant]]
name = "control"
weight = 1
[[experiment.variant]]
name = "extra"
weight = 1
grant = 1
[[traffic]]
kind = "trace"
file = "t.csv"
"#;

#[test]
fn arbitrary_bytes_are_a_trace_or_refused() {
    bolero::check!().for_each(|trace: &[u8]| {
        let _ = decoded(PLAYED.as_bytes(), trace);
        let _ = decoded(PLAYED.as_bytes(), &[b"offset_s,arrivals\n", trace].concat());
    });
}

#[test]
fn a_trace_of_any_rows_is_refused_or_played_to_its_last_arrival() {
    bolero::check!().with_type::<(Vec<(u32, u8)>, u8, u64)>().for_each(|(rows, form, seed)| {
        let mut trace = "offset_s,arrivals\n".to_owned();
        let mut offset: u64 = 0;
        for (gap, arrivals) in rows {
            writeln!(trace, "{}.{:03},{arrivals}", offset / 1_000, offset % 1_000).expect("a string takes all");
            offset += u64::from(gap % 5_000) + u64::from(form % 8 > 0);
        }
        let Ok(scenario) = decoded(PLAYED.as_bytes(), trace.as_bytes()) else { return };
        run_if_small(&scenario, *seed);
        let arrivals = hookproof_sim::traffic::Arrivals::new(&scenario, hookproof_sim::seed::Draws::new(*seed));
        let mut at = arrivals.open_start(0);
        let mut count = 0;
        while let Some(next) = arrivals.next_open(at, 0, count) {
            assert!(next >= at, "arrival {count} goes back in time");
            (at, count) = (next, count + 1);
        }
        let recorded: u64 = rows.iter().map(|(_, arrivals)| u64::from(*arrivals)).sum();
        assert_eq!(count, recorded);
    });
}
