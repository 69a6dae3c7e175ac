//! Goal: telling a user's variant allocates nothing, whatever the mode, the coverage, the variant and the lengths.
//!
//! Method: an allocator that counts this thread's allocations stands in for the system's in this file's tests. That it
//! counts is a test of its own.

use std::collections::BTreeSet;
use std::hint::black_box;

use allocation_counter::measure;
use hookproof_core::assignment::{COVERAGE_FULL_PPM, UserId};
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};

/// A control and a treatment of the same weight.
fn experiment(hash: HashSpec, coverage_ppm: u32, effect: &str) -> Experiment {
    let variant = |name: &str, grant| VariantSpec { name: name.to_owned(), weight: 1, grant };
    let grant = GrantSpec { units: 25, effect: effect.to_owned() };
    let spec = Spec {
        id: "quota-experiment".to_owned(),
        namespace: "production".to_owned(),
        lineage: None,
        version: "1".to_owned(),
        hash,
        salt: None,
        coverage_ppm,
        variants: vec![variant("control", None), variant("extra-quota", Some(grant))],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    };
    Experiment::new(spec).expect("the spec is permitted")
}

/// Both modes, the coverages that need a hash and those that do not, effects that end in the first block and in the
/// fifth.
fn experiments() -> Vec<Experiment> {
    let keyed = HashSpec::HmacSha256V1 { secret: b"0123456789abcdef0123456789abcdef".to_vec() };
    let mut experiments = Vec::new();
    for hash in [HashSpec::Sha256V1, keyed] {
        for coverage_ppm in [0, COVERAGE_FULL_PPM / 2, COVERAGE_FULL_PPM] {
            for effect in ["increase".to_owned(), "e".repeat(255)] {
                experiments.push(experiment(hash.clone(), coverage_ppm, &effect));
            }
        }
    }
    experiments
}

#[test]
fn an_assignment_allocates_nothing() {
    // Ids of every permitted length.
    let ids: Vec<String> = (1..=UserId::LENGTH_MAX).map(|length| "7".repeat(length)).collect();
    let experiments = experiments();
    let (mut grant_count, mut control_count) = (0, 0);
    let allocated = measure(|| {
        for experiment in &experiments {
            for id in &ids {
                let user = UserId::new(black_box(id.as_bytes())).expect("the id is permitted");
                let assignment = black_box(experiment.assign(user));
                grant_count += u32::from(assignment.grant.is_some());
                control_count += u32::from(assignment.variant.index() == 0);
            }
        }
    });
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
    assert!(grant_count > 0 && control_count > 0, "{grant_count} grants, {control_count} controls");
}

#[test]
fn a_refused_id_allocates_nothing() {
    let too_long = "x".repeat(UserId::LENGTH_MAX + 1);
    let ids = [&b""[..], too_long.as_bytes(), b"\xff", b"a\n"];
    let allocated = measure(|| {
        for id in ids {
            assert!(UserId::new(black_box(id)).is_err());
        }
    });
    assert_eq!(allocated.count_total, 0, "{allocated:?}");
}

#[test]
fn the_counter_sees_an_allocation() {
    let allocated = measure(|| {
        black_box(vec![0_u8; black_box(16)]);
    });
    assert_eq!((allocated.count_total, allocated.bytes_total), (1, 16));
}
