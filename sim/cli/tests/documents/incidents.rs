//! Goal: every incident in `scenarios/incidents/` comes to what its file expects, its page in `docs/incidents/` is what the program
//! writes, and what `docs/incidents.md` says of them stands on those pages. Method: the binary, on the files as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMMAND: &str = "cargo run --release -- incidents scenarios/incidents --out docs/incidents";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("a readable file"))
    };
    entries.map(file).collect()
}

#[test]
fn every_incident_holds_and_its_page_is_what_the_program_writes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command.args(["incidents", "scenarios/incidents", "--quiet", "--out"]).arg(folder.path());
    let output = command.current_dir(root()).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "all that the files expect holds: {output:?}");
    let (written, committed) = (files(folder.path()), files(&root().join("docs/incidents")));
    assert!(written.len() >= 13, "a page for each incident and the index: {:?}", written.keys());
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&written), names(&committed), "run {COMMAND}, and remove the page of a file that is gone");
    for (name, page) in written {
        assert_eq!(committed[&name], page, "docs/incidents/{name} is not of this code; run {COMMAND}");
    }
}

/// A page, words on it, and how the guide says the same.
const FIGURES: [(&str, &str, &str); 5] = [
    (
        "knight-capital-2012-08-01",
        "`upstream.calls` during uncounted 1 to 450 | hardened | 450 |",
        "twice the need allows 450 effects",
    ),
    ("knight-capital-2012-08-01-fleet", "): 217 times, first at", "sends 217 requests"),
    ("knight-capital-2012-08-01-fleet", "| wait for a grant, median | 52.82 s |", "53 s in the median"),
    ("dynamodb-2015-09-20", "during overload at most 5.5/s | hardened | 2.177/s |", "grants 2.2 of the 5 a second"),
    ("dynamodb-2015-09-20", "| 5,159 s (1h 25m) |", "waits for up to 86 minutes"),
];

#[test]
fn what_the_guide_says_of_the_incidents_stands_on_their_pages() {
    let guide = std::fs::read_to_string(root().join("docs/incidents.md")).expect("the guide is there");
    let guide = guide.split_whitespace().collect::<Vec<_>>().join(" ");
    let pages = files(&root().join("docs/incidents"));
    for (page, words, said) in FIGURES {
        assert!(pages[&format!("{page}.md")].contains(words), "docs/incidents/{page}.md does not have {words:?}");
        assert!(guide.contains(said), "docs/incidents.md does not say {said:?}");
    }
}

#[test]
fn two_scenarios_of_one_name_are_refused_before_anything_is_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookproof"));
    command.arg("incidents").arg(folder.path()).arg("--out").arg(folder.path().join("pages"));
    for (copy, name) in [("one", "spike.toml"), ("other", "Spike.toml")] {
        std::fs::create_dir(folder.path().join(copy)).expect("a writable folder");
        let from = root().join("scenarios/incidents/retry-storm.toml");
        std::fs::copy(from, folder.path().join(copy).join(name)).expect("a writable folder");
    }
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!folder.path().join("pages").exists(), "nothing was written");
}
