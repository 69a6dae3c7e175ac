//! Goal: the core stays a library of pure machines: what it links against is hashing, ids and error derivation.
//!
//! Method: `cargo tree` is asked for the normal dependencies, and each name must be on the list below. A name that is
//! missing here is either an oversight in `Cargo.toml` or a decision to be argued for in review.

use std::collections::BTreeSet;
use std::process::Command;

/// Hashing with what it is made of (`libc` only where the processor is asked through the system); `uuid`; `thiserror` with the crates of its derive macro.
const PERMITTED: &[&str] = &[
    "block-buffer",
    "cfg-if",
    "cpufeatures",
    "crypto-common",
    "digest",
    "hookproof-core",
    "hybrid-array",
    "libc",
    "proc-macro2",
    "quote",
    "sha2",
    "syn",
    "thiserror",
    "thiserror-impl",
    "typenum",
    "unicode-ident",
    "uuid",
];

#[test]
fn the_core_depends_on_hashing_ids_and_error_derivation_only() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "hookproof-core", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--offline", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .expect("cargo ran this test, so it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let names: BTreeSet<&str> = stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let refused: Vec<_> = names.iter().filter(|name| !PERMITTED.contains(name)).collect();
    assert!(refused.is_empty(), "the core has come to depend on {refused:?}");
    assert!(names.contains("sha2"), "the list of dependencies was not read: {stdout}");
}
