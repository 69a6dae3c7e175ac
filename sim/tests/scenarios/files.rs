//! Capability: a scenario file becomes a scenario, or everything that is wrong with it at once.
//!
//! Method: every file of `good/` decodes, and what it says is a snapshot; every file of `broken/` is refused, and the
//! whole refusal is a snapshot. Hostile bytes are generated: whatever they are, the decoder answers without a panic.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use hookproof_sim::scenario::{
    Attached, Fault, FaultKind, HookKind, LimitError, Limits, PROBLEMS_MAX, Scenario, ScenarioError, decode,
    decode_with_files,
};
use proptest::prelude::*;

const CONTRACT: &[u8] = include_bytes!("good/contract.toml");
const EVERY_FAULT: &[u8] = include_bytes!("good/every-fault.toml");
const EVERY_SETTING: &[u8] = include_bytes!("good/every-setting.toml");
const EVERY_TRAFFIC: &[u8] = include_bytes!("good/every-traffic.toml");
const MINIMAL: &[u8] = include_bytes!("good/minimal.toml");

fn scenario(source: &[u8]) -> Scenario {
    decode_with_files("good", "good.toml", source, &mut |path| attached("good-traces", path))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(name: &str, source: &[u8]) -> ScenarioError {
    decode_with_files(name, &format!("{name}.toml"), source, &mut |path| attached("broken-traces", path))
        .expect_err("the file is broken")
}

fn attached(folder: &str, path: &str) -> Result<Attached, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(folder);
    let bytes = fs::read(folder.join(path)).map_err(|_| "there is no such file".to_owned())?;
    Ok(Attached { path: path.to_owned(), bytes })
}

/// Checks that each problem is shown with its position and a remedy.
fn assert_is_complete(error: &ScenarioError) {
    let text = error.to_string();
    assert!(!error.problems().is_empty());
    assert!(error.problems().len() <= PROBLEMS_MAX);
    for problem in error.problems() {
        let position = format!("{}:{}:{}\n", problem.path, problem.line, problem.column);
        assert!(text.contains(&position), "{position} in {text}");
        assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
    }
    assert_eq!(text.matches("= help: ").count(), error.problems().len(), "{text}");
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), text));
}

#[test]
fn every_broken_file_is_refused_with_everything_that_is_wrong() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/broken");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 25, "broken files: {}", paths.len());
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy();
        let error = refusal(&name, &fs::read(&path).unwrap());
        assert_is_complete(&error);
        snapshot(&format!("broken-{name}"), &error.to_string());
    }
}

#[test]
fn the_contracts_example_is_read_key_by_key() {
    snapshot("good-contract", &described(&scenario(CONTRACT)));
}

#[test]
fn every_setting_is_read() {
    snapshot("good-every-setting", &described(&scenario(EVERY_SETTING)));
}

#[test]
fn every_kind_of_traffic_is_read() {
    snapshot("good-every-traffic", &described(&scenario(EVERY_TRAFFIC)));
}

#[test]
fn every_key_but_the_required_ones_has_its_documented_default() {
    snapshot("good-minimal", &described(&scenario(MINIMAL)));
}

#[test]
fn every_kind_of_fault_is_read() {
    let scenario = scenario(EVERY_FAULT);
    snapshot("good-every-fault", &described(&scenario));
    let starts = |name: &str| {
        let fault = scenario.faults.iter().find(|fault| fault.name == name).unwrap();
        fault.starts(scenario.duration).map(|start| start.as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(starts("network.partition"), [180, 360, 540]);
    assert_eq!(starts("quota.restart"), [60, 240, 420]);
    assert_eq!(starts("quota.slow"), [60]);
}

#[test]
fn a_deploy_changes_the_keys_it_names_and_keeps_the_others() {
    let scenario = scenario(EVERY_FAULT);
    let deployed = |fault: &Fault| {
        let FaultKind::ProcessDeploy { version, experiment } = &fault.kind else { return None };
        Some((version.clone(), experiment.clone()))
    };
    let deployed: Vec<_> = scenario.faults.iter().filter_map(deployed).collect();
    let [(first, unchanged), (second, changed)] = &deployed[..] else { panic!("two deploys: {}", deployed.len()) };
    assert_eq!((first.as_str(), second.as_str()), ("2", "3"));
    assert_eq!((unchanged.version(), changed.version()), ("2", "3"));
    assert_eq!((unchanged.coverage_ppm(), changed.coverage_ppm()), (1_000_000, 500_000));
    assert_eq!((unchanged.salt(), changed.salt()), ("quota", "other"));
    assert_eq!((unchanged.lineage(), changed.lineage()), ("quota", "quota"));
    assert_eq!(unchanged.variants(), scenario.experiment.variants());
    assert_eq!(changed.largest_grant(), 30);
    assert_eq!((unchanged.generation(), changed.generation()), (0, 1));
    assert_eq!(changed.operations().len(), 3);
}

#[test]
fn a_deploy_changes_the_version_before_it_in_time_wherever_it_stands() {
    let deploy = |version, at, table| {
        format!(
            "[[fault]]\nkind = \"process.deploy\"\nversion = {version}\nat = \"{at}s\"\nexperiment = {{ {table} }}\n"
        )
    };
    let minimal = str::from_utf8(MINIMAL).unwrap();
    let source = [minimal, &deploy(4, 3, ""), &deploy(2, 1, "coverage = 0.5"), &deploy(3, 2, "phase = 'ended'")];
    let scenario = scenario(source.concat().as_bytes());
    let deployed = |fault: &Fault| {
        let FaultKind::ProcessDeploy { version, experiment } = &fault.kind else { return None };
        Some((fault.name.clone(), version.clone(), experiment.coverage_ppm(), experiment.is_ended()))
    };
    let text = |name: &str, version: &str, ended| (name.to_owned(), version.to_owned(), 500_000, ended);
    assert_eq!(
        scenario.faults.iter().filter_map(deployed).collect::<Vec<_>>(),
        [text("process.deploy", "4", true), text("process.deploy-2", "2", false), text("process.deploy-3", "3", true)]
    );
}

/// What a scenario says, one thing a line, without the core's inner tables.
fn described(scenario: &Scenario) -> String {
    let hooks = |hooks: &[HookKind]| hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>().join(" ");
    let mut lines = vec![
        format!("{:?} {:?} seed {}", scenario.title, scenario.about, scenario.seed),
        format!("start {} duration {:?}", scenario.start.as_unix_nanos(), scenario.duration),
        format!("calm {:?}", scenario.calm),
        format!("hooks {}, judged {}", hooks(&scenario.hooks), hooks(&scenario.judge)),
        format!("{:?}", scenario.experiment.spec()),
        format!("true lift {}", scenario.true_lift),
        format!("{:?}", scenario.quota),
        format!("{:?}", scenario.users),
        format!("{:?}", scenario.caller),
        format!("{:?}", scenario.fleet),
        format!("{:?}", scenario.store),
        format!("{:?}", scenario.upstream),
        format!("{:?}", scenario.hardened),
        format!("{:?}", scenario.estimate()),
    ];
    lines.extend(scenario.traffic.iter().map(|traffic| format!("{traffic:?}")));
    lines.extend(scenario.windows.iter().map(|window| format!("{window:?}")));
    lines.extend(scenario.expects.iter().map(|expect| format!("{expect:?}")));
    lines.extend(scenario.faults.iter().map(described_fault));
    lines.join("\n")
}

fn described_fault(fault: &Fault) -> String {
    let kind = if let FaultKind::ProcessDeploy { version, .. } = &fault.kind {
        format!("ProcessDeploy of {version}")
    } else {
        format!("{:?}", fault.kind)
    };
    let Fault { name, at, length, every, on, .. } = fault;
    format!("{name}: {kind} at {at:?} for {length:?} every {every:?} share {} on {on:?}", fault.probability.ppm())
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    let again = [MINIMAL, b"# changed\n"].concat();
    assert_eq!(scenario(MINIMAL).digest, scenario(MINIMAL).digest);
    assert_ne!(scenario(MINIMAL).digest, scenario(&again).digest);
}

#[test]
fn the_digest_is_also_that_of_the_traces() {
    let digest = |half: &str| {
        let mut files = |path: &str| {
            let bytes = if path == "folder/half.csv" { half } else { "offset_s,arrivals\n0,1\n" };
            Ok(Attached { path: path.to_owned(), bytes: bytes.into() })
        };
        decode_with_files("good", "good.toml", EVERY_TRAFFIC, &mut files).unwrap().digest
    };
    let half = "offset_s,arrivals\n0,1\n10,2\n";
    assert_eq!(digest(half), digest(half));
    assert_ne!(digest(half), digest(&half.replace('2', "3")));
}

#[test]
fn without_a_reader_a_trace_is_refused_and_says_why() {
    let error = decode("good", "good.toml", EVERY_TRAFFIC).unwrap_err();
    assert_is_complete(&error);
    assert!(error.problems().iter().all(|problem| problem.message.contains("no files are read here")), "{error}");
    assert_eq!(error.problems().len(), 2);
}

#[test]
fn traces_have_limits_in_all_and_are_read_no_further() {
    let entry = "[[traffic]]\nkind = 'trace'\nfile = 't.csv'\n";
    let source = [str::from_utf8(MINIMAL).unwrap(), &entry.repeat(30)].concat();
    let refused = |bytes: &[u8]| {
        let mut files = |path: &str| Ok(Attached { path: path.to_owned(), bytes: bytes.to_owned() });
        let error = decode_with_files("large", "large.toml", source.as_bytes(), &mut files).unwrap_err();
        assert_is_complete(&error);
        error.to_string()
    };
    let rows = (0..100_000).fold(String::new(), |rows, row| rows + &format!("{row},1\n"));
    let text = refused(format!("offset_s,arrivals\n{rows}").as_bytes());
    assert!(text.contains("more than 500000 rows"), "{text}");
    let text = refused(&vec![b'0'; 3 << 20]);
    assert!(text.contains("have more than 8 MiB"), "{text}");
    assert!(text.len() < 100_000, "{}", text.len());
}

#[test]
fn an_overlarge_scenario_is_refused_with_the_option_that_allows_it() {
    let mut large = scenario(EVERY_SETTING);
    large.duration *= 2;
    let error = large.check_limits(&Limits::default()).unwrap_err();
    assert!(matches!(error, LimitError::Events { limit: 2_000_000_000, .. }), "{error}");
    assert!(error.to_string().contains("--max-events"), "{error}");
    let error = large.check_limits(&Limits { max_events: u64::MAX, ..Limits::default() }).unwrap_err();
    assert!(error.to_string().contains("--max-memory"), "{error}");
    let all = Limits { max_events: u64::MAX, max_memory: u64::MAX };
    assert_eq!(large.check_limits(&all), Ok(()));
    assert_eq!(scenario(CONTRACT).check_limits(&Limits::default()), Ok(()));

    large.duration = Duration::MAX / 4;
    assert_eq!(large.estimate().events, u64::MAX);
}

#[test]
fn colour_adds_nothing_but_colour() {
    let error = refusal("hostile", b"schema = 2\n");
    let colored = error.render(true);
    assert!(colored.contains('\u{1b}'));
    assert!(!error.render(false).contains('\u{1b}'));
}

#[test]
fn hostile_files_are_refused_and_their_problems_are_capped() {
    let inline = "{".to_owned() + &"a.".repeat(70) + "a = ";
    let cases = [
        ("too large", " ".repeat(1024 * 1024 + 1)),
        ("brackets", "a = ".to_owned() + &"[".repeat(10_000)),
        ("closed brackets", format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("braces", inline.repeat(10_000)),
        ("dots", "a.".repeat(10_000) + "a = 1"),
        ("headers", "[a.a.a]\n".repeat(100_000)),
        ("duplicate keys", "seed = 1\n".repeat(100_000)),
        ("unknown keys", numbered_keys(100_000)),
        ("faults", "[[fault]]\n".repeat(100_000)),
        ("hooks", format!("hooks = [{}]", "'a',".repeat(200_000))),
        ("one line", format!("a = '{}' b = 3", "ü".repeat(500_000))),
        ("quotes", "\"".repeat(1_000_000)),
        ("newlines", "\n".repeat(1_000_000)),
        ("durations", format!("schema = 1\ncalm = \"{}s\"", "9".repeat(1_000_000))),
        ("repetitions", repeated_faults()),
        ("years", "duration = \"1e12y\"\n[users]\npopulation = 1e18".to_owned()),
    ];
    for (name, source) in cases {
        let error = refusal("hostile", source.as_bytes());
        assert_is_complete(&error);
        let shown = error.to_string();
        assert!(shown.len() < 200_000, "{name}: {} bytes", shown.len());
    }
}

/// Unknown keys, one a line.
fn numbered_keys(count: usize) -> String {
    (0..count).flat_map(|number| ["key-".to_owned(), number.to_string(), " = 1\n".to_owned()]).collect()
}

/// As many repetitions and expectations of them as a file may have, and one thing that is wrong.
fn repeated_faults() -> String {
    let fault = "[[fault]]\nkind = \"quota.outage\"\nevery = \"60ms\"\nfor = \"1ms\"\n";
    let expect = "[[expect]]\nmetric = \"hook.errors\"\nat-most = 1\nduring = \"quota.outage\"\n";
    let minimal = String::from_utf8_lossy(MINIMAL).replace("\"1m\"", "\"10m\"");
    format!("{minimal}\n{}{}[unknown]\n", fault.repeat(500), expect.repeat(500))
}

#[test]
fn the_deepest_nesting_that_is_parsed_does_not_exhaust_the_stack() {
    let level = "{".to_owned() + &"a.".repeat(60) + "a = ";
    let source = format!("a = {}1{}\nseed = -1\n", level.repeat(15), "}".repeat(15));
    let error = refusal("hostile", source.as_bytes());
    assert!(error.problems().iter().any(|problem| problem.message.contains("`seed`")), "{error}");
}

#[test]
fn problems_beyond_the_cap_are_counted() {
    let error = refusal("many", &[MINIMAL, numbered_keys(120).as_bytes()].concat());
    assert_eq!((error.problems().len(), error.omitted_count()), (PROBLEMS_MAX, 70));
    assert!(error.to_string().ends_with("… and 70 more"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bytes_never_panic(
        which in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
    ) {
        let mut source = [CONTRACT, EVERY_SETTING, EVERY_FAULT][which].to_vec();
        for (index, byte, edit) in edits {
            let at = index.index(source.len());
            match edit {
                0 => source[at] = byte,
                1 => source.insert(at, byte),
                2 => drop(source.drain(at..source.len().min(at + usize::from(byte) % 16))),
                _ => source.extend_from_within(at..),
            }
        }
        if let Err(error) = decode("mutated", "mutated.toml", &source) {
            assert_is_complete(&error);
        }
    }

    #[test]
    fn words_of_the_format_in_any_order_never_panic(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..60),
    ) {
        if let Err(error) = decode("words", "words.toml", words.concat().as_bytes()) {
            assert_is_complete(&error);
        }
    }
}

const WORDS: [&str; 40] = [
    "schema = 1\n",
    "[experiment]\n",
    "[[experiment.variant]]\n",
    "[[fault]]\n",
    "[[traffic]]\n",
    "[users]\n",
    "[caller]\n",
    "[fleet]\n",
    "kind = ",
    "at = ",
    "for = ",
    "every = ",
    "\"1m\"",
    "\"1h30m\"",
    "-1",
    "1e308",
    "nan",
    "\n",
    "\n",
    "\n",
    "\n",
    "[",
    "]",
    "{",
    "}",
    "'''",
    "\"",
    ".",
    "= ",
    "#",
    "ü",
    "\"quota.outage\"\n",
    "\"steady\"\n",
    "\"1/s\"\n",
    "name = ",
    "fault",
    "on = [\"app-1\"]\n",
    "weight = 1\n",
    "duration = ",
    "\r\n",
];
