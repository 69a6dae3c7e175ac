//! The cost of an assignment beside the one hash that it cannot do without.
//!
//! * `Experiment::assign` by SHA-256 beside one raw SHA-256 of the same bytes; the bar is 1.3 ×.
//! * Keyed, beside one raw HMAC-SHA-256 of the same bytes under a prepared key; the bar is 1.3 ×.
//!
//! The user meets the control, so an assignment is exactly one hash: coverage is full, and only a treatment derives a
//! grant id. A treatment's two hashes are measured beside two raw ones. At the end the ratios are measured once more in
//! turns and printed: `cargo bench -p hookproof-benches --bench assignment`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use hmac::{Hmac, KeyInit, Mac};
use hookproof_benches::paired::in_turns;
use hookproof_core::assignment::UserId;
use hookproof_core::experiment::{Experiment, GrantSpec, HashSpec, Spec, VariantSpec};
use sha2::{Digest, Sha256};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const ID: &str = "quota-experiment";
const EFFECT: &str = "quota-increase";
/// Hashes in one round of a ratio.
const ROUND: u32 = 200_000;

/// Ids of usual lengths.
const USERS: [&str; 3] =
    ["user-123456", "1f0e9d8c-7b6a-4c5d-8e3f-2a1b0c9d8e7f", "someone.with.a.long.name@mail.example.org"];

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    for user in USERS {
        compare(&mut criterion, user);
    }
    criterion.final_summary();
    for user in USERS {
        print_ratios(user);
    }
}

/// An experiment whose every user meets `variant`: 0 is the control, 1 the treatment.
fn experiment(hash: HashSpec, variant: usize) -> Experiment {
    let grant = Some(GrantSpec { units: 25, effect: EFFECT.into() });
    let weight = |index: usize| u32::from(index == variant);
    Experiment::new(Spec {
        id: ID.into(),
        namespace: "production".into(),
        lineage: None,
        version: "1".into(),
        hash,
        salt: None,
        coverage_ppm: 1_000_000,
        variants: vec![
            VariantSpec { name: "control".into(), weight: weight(0), grant: None },
            VariantSpec { name: "extra-quota".into(), weight: weight(1), grant },
        ],
    })
    .expect("the experiment above is valid")
}

fn keyed() -> HashSpec {
    HashSpec::HmacSha256V1 { secret: SECRET.to_vec() }
}

/// One assignment, the id's check included.
fn assign(experiment: &Experiment, user: &str) {
    let id = UserId::new(black_box(user).as_bytes()).expect("the ids above are permitted");
    black_box(experiment.assign(id));
}

/// The bytes that the assignment hash is over: 0x01, the framed salt, the id.
fn assignment_message(experiment: &Experiment, user: &str) -> Vec<u8> {
    let salt = experiment.salt();
    [&[1, length(salt)], salt.as_bytes(), user.as_bytes()].concat()
}

/// The bytes that the grant id's hash is over: 0x03, the framed lineage and effect, the id.
fn grant_message(user: &str) -> Vec<u8> {
    let lineage = format!("production/{ID}");
    [&[3, length(&lineage)], lineage.as_bytes(), &[length(EFFECT)], EFFECT.as_bytes(), user.as_bytes()].concat()
}

fn length(text: &str) -> u8 {
    u8::try_from(text.len()).expect("the texts above are short")
}

fn raw_sha256(message: &[u8]) {
    black_box(Sha256::digest(black_box(message)));
}

fn raw_hmac(key: &Hmac<Sha256>, message: &[u8]) {
    black_box(key.clone().chain_update(black_box(message)).finalize().into_bytes());
}

fn prepared_key() -> Hmac<Sha256> {
    Hmac::new_from_slice(SECRET).expect("HMAC takes keys of every length")
}

fn compare(criterion: &mut Criterion, user: &str) {
    let (plain, secret, key) = (experiment(HashSpec::Sha256V1, 0), experiment(keyed(), 0), prepared_key());
    let message = assignment_message(&plain, user);
    let mut group = criterion.benchmark_group(format!("assignment of {} bytes", user.len()));
    group.throughput(Throughput::Elements(1));
    group.bench_function("sha256-v1", |bencher| bencher.iter(|| assign(&plain, user)));
    group.bench_function("raw SHA-256", |bencher| bencher.iter(|| raw_sha256(&message)));
    group.bench_function("hmac-sha256-v1", |bencher| bencher.iter(|| assign(&secret, user)));
    group.bench_function("raw HMAC-SHA-256", |bencher| bencher.iter(|| raw_hmac(&key, &message)));
    group.finish();
}

fn print_ratios(user: &str) {
    let key = prepared_key();
    let (control, treatment) = (experiment(HashSpec::Sha256V1, 0), experiment(HashSpec::Sha256V1, 1));
    let (message, grant) = (assignment_message(&control, user), grant_message(user));
    print_ratio(user, "sha256-v1, control", || assign(&control, user), || raw_sha256(&message));
    print_ratio(
        user,
        "sha256-v1, treatment",
        || assign(&treatment, user),
        || {
            raw_sha256(&message);
            raw_sha256(&grant);
        },
    );
    let (control, treatment) = (experiment(keyed(), 0), experiment(keyed(), 1));
    print_ratio(user, "hmac-sha256-v1, control", || assign(&control, user), || raw_hmac(&key, &message));
    print_ratio(
        user,
        "hmac-sha256-v1, treatment",
        || assign(&treatment, user),
        || {
            raw_hmac(&key, &message);
            raw_hmac(&key, &grant);
        },
    );
}

fn print_ratio(user: &str, what: &str, mut assignment: impl FnMut(), mut raw: impl FnMut()) {
    let paired = in_turns(15, || (0..ROUND).for_each(|_| assignment()), || (0..ROUND).for_each(|_| raw()));
    println!("{what:>25}, id of {:>2} bytes: {:.2} × its raw hashes", user.len(), paired.a_to_b);
}
