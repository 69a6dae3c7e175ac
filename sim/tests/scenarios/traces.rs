//! Capability: the traces of `scenarios/traces` are what their README says.
//!
//! Method: the program that wrote them is part of this test, and writes them again; their figures are held against those of
//! the published traces that they are modelled on.

use std::fs;
use std::path::Path;

#[path = "../../../scenarios/traces/generate.rs"]
#[expect(dead_code, reason = "its main is for whoever writes the traces again")]
mod generate;

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/traces").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_trace_is_what_its_generator_writes() {
    for model in &generate::MODELS {
        assert!(generate::csv(model) == shipped(&format!("{}.csv", model.name)), "{} is another", model.name);
    }
}

#[test]
fn every_trace_is_as_dispersed_as_the_one_it_is_modelled_on() {
    // Mean a second, and dispersion over 1, 10 and 60 seconds, of the published traces "code" and "conv".
    let published = [("bursty", 2.566, [13.20, 73.65, 164.1]), ("drifting", 5.528, [1.33, 3.84, 16.1])];
    for (name, mean, dispersion) in published {
        let text = shipped(&format!("{name}.csv"));
        let counts: Vec<u32> =
            text.lines().skip(1).map(|row| row.split_once(',').unwrap().1.parse().unwrap()).collect();
        let windows = [1, 10, 60].map(|seconds| generate::dispersion(&counts, seconds));
        let readme = shipped("README.md");
        assert!(
            readme.contains(&format!("| {:.2} | {:.2} | {:.1} |", windows[0], windows[1], windows[2])),
            "{windows:?}"
        );
        for (value, wanted) in
            windows.into_iter().chain([generate::mean(&counts)]).zip(dispersion.into_iter().chain([mean]))
        {
            assert!((value - wanted).abs() <= 0.05 * wanted, "{name}: {value}, not {wanted}");
        }
    }
}
