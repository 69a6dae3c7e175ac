//! Every file in `scenarios/` is a test by virtue of existing: with its own hooks and seed, all it expects must hold.

use std::path::{Path, PathBuf};

use hookproof_sim::outcome::Verdict;
use hookproof_sim::run;
use hookproof_sim::scenario::decode;

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

#[test]
fn every_scenario_holds() {
    let mut paths = Vec::new();
    toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"), &mut paths);
    paths.sort();
    assert!(paths.len() >= 3, "scenarios found: {paths:?}");
    for path in paths {
        let source = std::fs::read(&path).expect("a readable file");
        let display = path.display().to_string();
        let scenario = decode("scenario", &display, &source).unwrap_or_else(|error| panic!("{error}"));
        for hook in &scenario.hooks {
            let outcome = run(&scenario, *hook, scenario.seed, &mut |_| {});
            assert_eq!(outcome.verdict, Verdict::Pass, "{display}, {}: {:#?}", hook.name(), outcome.expectations);
        }
    }
}
