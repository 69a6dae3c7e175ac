//! Every file in `scenarios/` is a test by virtue of existing: with its own hooks and seed, all it expects must hold.
//!
//! The figures that `docs/incidents.md` quotes are those of these runs. And the library keeps what its README promises: the files of a fault family use every kind of it, to some effect; the files of the
//! requirements hold the published program against the hardened hook; a public incident says of each value where it is from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hookproof_sim::metrics::Metric;
use hookproof_sim::outcome::{Outcome, Value, Verdict};
use hookproof_sim::run;
use hookproof_sim::scenario::{Attached, HookKind, Scenario, decode, decode_with_files};

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

/// The scenario files below a folder of `scenarios/`, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(folder), &mut paths);
    paths.sort();
    paths
}

fn read(path: &Path) -> Scenario {
    let source = std::fs::read(path).expect("a readable file");
    let folder = path.parent().expect("a file lies in a folder");
    let mut read_file = |named: &str| {
        let bytes = std::fs::read(folder.join(named)).map_err(|error| error.to_string())?;
        Ok(Attached { path: named.to_owned(), bytes })
    };
    let scenario = decode_with_files("scenario", &path.display().to_string(), &source, &mut read_file);
    scenario.unwrap_or_else(|error| panic!("{error}"))
}

/// Each hook's outcome, in which all holds.
fn assert_holds(path: &Path) -> Vec<Outcome> {
    let scenario = read(path);
    let hold = |hook: &HookKind| {
        let outcome = run(&scenario, *hook, scenario.seed, &mut |_| {});
        assert_eq!(outcome.verdict, Verdict::Pass, "{}, {}: {:#?}", path.display(), hook.name(), outcome.expectations);
        outcome
    };
    scenario.hooks.iter().map(hold).collect()
}

/// Incidents are large. A test of their own lets them run beside the others.
fn is_incident(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("incidents"))
}

/// Where a figure of `docs/incidents.md` is from.
#[derive(Clone, Copy)]
enum Source {
    /// A metric over the whole run.
    Run(Metric),
    /// A metric during a stretch that an expectation of the file names.
    During(Metric, &'static str),
    /// What the run came across.
    Reached(&'static str),
}

/// How the guide writes a figure.
type Words = fn(f64) -> String;

/// The figures of the guide: scenario, hook, source, words.
#[rustfmt::skip]
const FIGURES: [(&str, HookKind, Source, Words); 27] = {
    use HookKind::{Hardened, Original, Published};
    use Metric::{GrantDelayMaxMs, GrantDelayP50Ms, GrantParked, HookErrors, HookLatencyMaxUs, HookProvisional,
        OverAllocationUsers, UndeliveredUsers, UpstreamAttempts, UpstreamCalls, UpstreamGoodputRatio, UpstreamMeanRps,
        UpstreamRecoverySeconds};
    use Source::{During, Reached, Run};
    [
        ("crates-io-2023-07-20", Original, During(HookErrors, "broken-addresses"), |n| format!("{} failed calls at full scale", grouped(n))),
        ("crates-io-2023-07-20", Hardened, During(UpstreamAttempts, "broken-addresses"), |n| format!("{} attempts in the 13 minutes", grouped(n))),
        ("crates-io-2023-07-20", Hardened, Run(UpstreamRecoverySeconds), |s| format!("recovered within {s} s")),
        ("twilio-2013-07-18", Original, During(UpstreamCalls, "read-only"), |n| format!("both: {} charges", grouped(n))),
        ("twilio-2013-07-18", Published, During(UpstreamCalls, "read-only"), |n| format!("both: {} charges", grouped(n))),
        ("twilio-2013-07-18", Hardened, During(HookProvisional, "read-only"), |n| format!("{} provisional answers", grouped(n))),
        ("dynamodb-2015-09-20", Original, During(HookErrors, "overload"), |n| format!("({} in 149 minutes)", grouped(n))),
        ("dynamodb-2015-09-20", Original, Run(OverAllocationUsers), |n| format!("{} users doubled", grouped(n))),
        ("dynamodb-2015-09-20", Published, Run(OverAllocationUsers), |n| format!("published: {} doubled", grouped(n))),
        ("dynamodb-2015-09-20", Hardened, During(UpstreamMeanRps, "overload"), |rps| format!("grants {rps:.1} of the 5 a second")),
        ("dynamodb-2015-09-20", Hardened, Run(GrantDelayMaxMs), |ms| format!("waits for up to {:.0} minutes", ms / 60_000.0)),
        ("google-cloud-2025-06-12", Original, During(UpstreamMeanRps, "herd"), |rps| format!("{rps:.0} requests a second keep it useless")),
        ("google-cloud-2025-06-12", Hardened, During(UpstreamAttempts, "crash-loop"), |n| format!("{} attempts in the 40 minutes", grouped(n))),
        ("google-cloud-2025-06-12", Hardened, During(UpstreamMeanRps, "herd"), |rps| format!("{rps:.1} requests a second, ")),
        ("google-cloud-2025-06-12", Hardened, During(UpstreamGoodputRatio, "herd"), |ratio| format!("{ratio:.2} grants for each new one")),
        ("cloudflare-2017-01-01", Hardened, During(HookLatencyMaxUs, "midnight"), |us| format!("longer than {} ms around midnight", (us / 1_000.0).ceil())),
        ("stripe-2019-07-10", Original, Run(UndeliveredUsers), |n| format!("original {}, published", grouped(n))),
        ("stripe-2019-07-10", Published, Run(UndeliveredUsers), |n| format!("published {} users never granted", grouped(n))),
        ("stripe-2019-07-10", Hardened, Run(GrantParked), |n| format!("{n} of them wait for a human")),
        ("dynamodb-dns-2025-10-19", Original, During(OverAllocationUsers, "stale-write"), |n| format!("original {n}, published")),
        ("dynamodb-dns-2025-10-19", Published, During(OverAllocationUsers, "stale-write"), |n| format!("published {n} users granted twice")),
        ("dynamodb-dns-2025-10-19", Hardened, During(UpstreamAttempts, "no-addresses"), |n| format!("{n} attempts in the 157 minutes")),
        ("knight-capital-2012-08-01", Original, During(UpstreamCalls, "uncounted"), |n| format!("original: {} executions", grouped(n))),
        ("knight-capital-2012-08-01", Hardened, During(UpstreamCalls, "uncounted"), |n| format!("| {n}, the cap of ten a minute")),
        ("knight-capital-2012-08-01-fleet", Hardened, During(UpstreamCalls, "ignores-what-is-done"), |n| format!("{n} of at most 450")),
        ("knight-capital-2012-08-01-fleet", Hardened, Reached("duplicate-sends"), |n| format!("1 of 8 instances sends {n} requests")),
        ("knight-capital-2012-08-01-fleet", Hardened, Run(GrantDelayP50Ms), |ms| format!("{:.0} s in the median", ms / 1_000.0)),
    ]
};

/// A whole number with commas between thousands.
fn grouped(count: f64) -> String {
    let digits = count.to_string();
    let (head, tail) = digits.as_bytes().split_at(digits.len() % 3);
    let threes = std::iter::once(head).chain(tail.chunks(3)).filter(|digits| !digits.is_empty());
    threes.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

fn figure(outcome: &Outcome, source: Source) -> f64 {
    let value = match source {
        Source::Run(metric) => outcome.metrics.get(&metric).copied(),
        Source::During(metric, stretch) => {
            let mut expected = outcome.expectations.iter();
            let found = expected.find(|expected| expected.metric == metric && expected.during == stretch);
            found.and_then(|expected| expected.value)
        }
        Source::Reached(what) => return outcome.reached[what] as f64,
    };
    match value {
        Some(Value::Number(number)) => number,
        other => panic!("{other:?} is no figure"),
    }
}

#[test]
fn every_incident_holds_and_comes_to_what_its_guide_says() {
    let paths = files("incidents");
    assert!(paths.len() >= 9, "incidents found: {paths:?}");
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/incidents.md"));
    let guide = guide.expect("the guide is there").split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut found, mut untrue) = (0, Vec::new());
    for path in &paths {
        for outcome in assert_holds(path) {
            let is_of = |(name, hook, ..): &&(&str, HookKind, Source, Words)| {
                path.file_stem().is_some_and(|stem| stem == *name) && *hook == outcome.hook
            };
            for (name, _, source, words) in FIGURES.iter().filter(is_of) {
                found += 1;
                let words = words(figure(&outcome, *source));
                if !guide.contains(words.trim()) {
                    untrue.push(format!("{name}: {words:?}"));
                }
            }
        }
    }
    assert_eq!(found, FIGURES.len(), "each figure has its run");
    assert!(untrue.is_empty(), "docs/incidents.md does not say {untrue:#?}");
}

#[test]
fn every_other_scenario_holds() {
    let paths = files("");
    let others: Vec<&PathBuf> = paths.iter().filter(|path| !is_incident(path)).collect();
    assert!(others.len() >= 40, "scenarios found: {others:?}");
    for path in others {
        assert_holds(path);
    }
}

#[test]
fn the_files_of_the_fault_families_use_every_kind_to_some_effect() {
    let every_fault = decode("every-fault", "every-fault.toml", include_bytes!("good/every-fault.toml"));
    let every_fault = every_fault.unwrap_or_else(|error| panic!("{error}"));
    let all = run(&every_fault, HookKind::Hardened, 1, &mut |_| {}).faults;
    let mut unused: BTreeSet<&str> = all.iter().map(|fault| fault.kind).collect();
    assert!(unused.len() >= 32, "{unused:?}");
    for path in files("faults") {
        let scenario = read(&path);
        for fault in run(&scenario, HookKind::Hardened, scenario.seed, &mut |_| {}).faults {
            assert!(fault.effects > 0, "{}: {fault:?}", path.display());
            unused.remove(fault.kind);
        }
    }
    assert!(unused.is_empty(), "no file in scenarios/faults uses {unused:?}");
}

#[test]
fn every_requirement_is_about_the_published_program_and_the_hardened_hook() {
    let paths = files("requirements");
    assert!(paths.len() >= 9, "requirements found: {paths:?}");
    for path in paths {
        let scenario = read(&path);
        assert!(scenario.judge.contains(&HookKind::Hardened), "{}", path.display());
        for hook in [HookKind::Published, HookKind::Hardened] {
            let is_expected = scenario.expects.iter().any(|expect| expect.hook == Some(hook));
            assert!(scenario.hooks.contains(&hook) && is_expected, "{}: nothing of {}", path.display(), hook.name());
        }
    }
}

/// Lines `key = value` before the first expectation whose value has a number in it, without the scenario's head and names.
fn values(text: &str) -> impl Iterator<Item = &str> {
    let (before, _) = text.split_once("\n[[expect]]").expect("a scenario expects something");
    let (_, body) = before.split_once("\n\"\"\"\n").expect("a long `about`");
    body.lines().filter(|line| {
        let Some((key, rest)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { return false };
        let value = rest.split_once(" #").map_or(rest, |(value, _)| value);
        let is_name = ["name", "kind", "id", "profile", "mode"].contains(&key.trim());
        !is_name && value.contains(|letter: char| letter.is_ascii_digit())
    })
}

#[test]
fn every_value_of_a_public_incident_is_marked_as_published_or_assumed() {
    let mut count = 0;
    for path in files("incidents") {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let (about, _) = text.split_once("\n\"\"\"\n").expect("a long `about`");
        if !about.contains("https://") {
            continue;
        }
        count += 1;
        for line in values(&text) {
            let comment = line.split_once(" # ").map_or("", |(_, comment)| comment);
            let (is_published, is_ours) =
                (comment.contains("published: "), comment.contains("assumed") || comment.contains("fitted"));
            assert!(is_published || is_ours, "{}: neither published nor assumed: {line}", path.display());
            let names_source = ["[1]", "[2]"].iter().any(|source| comment.contains(source) && about.contains(source));
            assert!(!is_published || names_source, "{}: published where? {line}", path.display());
        }
    }
    assert!(count >= 8, "only {count} incidents name a source");
}
