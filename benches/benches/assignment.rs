//! The cost of an assignment beside the hashes that it cannot do without.
//!
//! * *arm*: what tells a user's variant, which is the assignment word and its place among the weights, beside one raw hash
//!   of the same bytes. The bar is 1.3 ×.
//! * *assign*: all that a first visit asks of `Experiment::assign`, the id's check included, beside as many raw hashes of
//!   the same bytes. A control under full coverage needs the arm's only, a treatment the grant id's too, and under a
//!   partial coverage the enrolment's is the third.
//!
//! A raw hash is one SHA-256 of the whole message or, keyed, one HMAC-SHA-256 of it under a prepared key, by the `sha2` and
//! `hmac` that the core uses; both sides compress by the same function, which finds out by itself whether the processor
//! has SHA extensions. At the end the ratios are measured once more in turns and printed:
//! `cargo bench -p hookproof-benches --bench assignment`.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use hmac::{Hmac, KeyInit, Mac};
use hookproof_benches::paired::in_turns;
use hookproof_core::assignment::{COVERAGE_FULL_PPM, Frame, HashMode, Hasher, UserId, Weights};
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use sha2::{Digest, Sha256};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const ID: &str = "quota-experiment";
const LINEAGE: &str = "production/quota-experiment";
const EFFECT: &str = "quota-increase";
/// Calls in one round of a ratio, and the rounds.
const ROUND: u32 = 100_000;
const ROUNDS: u32 = 15;

/// Ids of 8, 16, 36 and 64 bytes: a number, a word, a UUID, a digest in hexadecimal.
const USERS: [&str; 4] = [
    "10482931",
    "alice.b@mail.org",
    "1f0e9d8c-7b6a-4c5d-8e3f-2a1b0c9d8e7f",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
];
const MODES: [HashMode; 2] = [HashMode::Sha256V1, HashMode::HmacSha256V1];

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    let subjects = MODES.map(Subject::new);
    for subject in &subjects {
        compare(&mut criterion, subject);
    }
    criterion.final_summary();
    println!("{:>15} {:>4}  {:<22} {:>9} {:>9} {:>7}", "mode", "id", "what", "subject", "raw", "ratio");
    for subject in &subjects {
        for user in USERS {
            print_ratios(subject, user);
        }
    }
}

/// A visit that needs so many hashes.
#[derive(Clone, Copy)]
enum Visit {
    /// The arm's.
    Control,
    /// The arm's and the grant id's.
    Treatment,
    /// The arm's, the enrolment's and the grant id's.
    RampedTreatment,
}

impl Visit {
    const ALL: [Self; 3] = [Self::Control, Self::Treatment, Self::RampedTreatment];

    fn name(self) -> &'static str {
        match self {
            Self::Control => "assign, one hash",
            Self::Treatment => "assign, two hashes",
            Self::RampedTreatment => "assign, three hashes",
        }
    }

    /// The messages that are hashed: the domain's byte, then frames and the id.
    fn messages(self, user: &str) -> Vec<Vec<u8>> {
        let salted = |domain: u8| [&[domain, length(ID)], ID.as_bytes(), user.as_bytes()].concat();
        let grant = [&[3, length(LINEAGE)], LINEAGE.as_bytes(), &[length(EFFECT)], EFFECT.as_bytes(), user.as_bytes()];
        match self {
            Self::Control => vec![salted(1)],
            Self::Treatment => vec![salted(1), grant.concat()],
            Self::RampedTreatment => vec![salted(1), salted(2), grant.concat()],
        }
    }

    /// An experiment in which every user above is such a visit.
    fn experiment(self, hash: HashSpec) -> Experiment {
        let (control, treatment, coverage_ppm) = match self {
            Self::Control => (1, 0, COVERAGE_FULL_PPM),
            Self::Treatment => (0, 1, COVERAGE_FULL_PPM),
            Self::RampedTreatment => (0, 1, COVERAGE_FULL_PPM - 1),
        };
        let grant = Some(GrantSpec { units: 25, effect: EFFECT.into() });
        let spec = Spec {
            id: ID.into(),
            namespace: "production".into(),
            lineage: None,
            version: "1".into(),
            hash,
            salt: None,
            coverage_ppm,
            variants: vec![
                VariantSpec { name: "control".into(), weight: control, grant: None },
                VariantSpec { name: "extra-quota".into(), weight: treatment, grant },
            ],
            generation: 0,
            exposed: Exposed::Keep,
            phase: Phase::Running,
            operations: BTreeSet::new(),
        };
        let experiment = Experiment::new(spec).expect("the experiment above is valid");
        for user in USERS {
            let assignment = experiment.assign(checked(user));
            assert!(assignment.enrolled);
            assert_eq!(assignment.grant.is_some(), treatment == 1);
        }
        experiment
    }
}

fn length(text: &str) -> u8 {
    u8::try_from(text.len()).expect("the texts above are short")
}

fn checked(user: &str) -> UserId<'_> {
    UserId::new(user.as_bytes()).expect("the ids above are permitted")
}

/// Both sides in one mode.
struct Subject {
    hasher: Hasher,
    weights: Weights,
    experiments: [Experiment; 3],
    /// The prepared key, in the keyed mode.
    key: Option<Hmac<Sha256>>,
}

impl Subject {
    fn new(mode: HashMode) -> Self {
        let frame = |text| Frame::new(text).expect("the texts above are short");
        let weights = Weights::new([1, 1]).expect("the weights are permitted");
        let (hasher, hash, key) = match mode {
            HashMode::Sha256V1 => (Hasher::sha256_v1(frame(ID), frame(LINEAGE)), HashSpec::Sha256V1, None),
            HashMode::HmacSha256V1 => (
                Hasher::hmac_sha256_v1(SECRET, frame(ID), frame(LINEAGE)).expect("the secret is not empty"),
                HashSpec::HmacSha256V1 { secret: SECRET.to_vec() },
                Some(Hmac::new_from_slice(SECRET).expect("HMAC takes keys of every length")),
            ),
        };
        let experiments = Visit::ALL.map(|visit| visit.experiment(hash.clone()));
        Self { hasher, weights, experiments, key }
    }

    fn arm(&self, user: UserId<'_>) {
        black_box(self.weights.pick(self.hasher.assignment_word(black_box(user))));
    }

    fn assign(&self, visit: Visit, user: &str) {
        black_box(self.experiments[visit as usize].assign(checked(black_box(user))));
    }

    fn raw(&self, messages: &[Vec<u8>]) {
        for message in messages {
            let message = black_box(message.as_slice());
            black_box(match &self.key {
                None => Sha256::digest(message),
                Some(key) => key.clone().chain_update(message).finalize().into_bytes(),
            });
        }
    }
}

fn compare(criterion: &mut Criterion, subject: &Subject) {
    let mut group = criterion.benchmark_group(subject.hasher.mode().name());
    group.throughput(Throughput::Elements(1));
    for user in USERS {
        let id = |what: &str| BenchmarkId::new(what, user.len());
        group.bench_function(id("arm"), |bencher| bencher.iter(|| subject.arm(checked(user))));
        for visit in Visit::ALL {
            let messages = visit.messages(user);
            group.bench_function(id(visit.name()), |bencher| bencher.iter(|| subject.assign(visit, user)));
            let raw = format!("raw, {}", messages.len());
            group.bench_function(id(&raw), |bencher| bencher.iter(|| subject.raw(&messages)));
        }
    }
    group.finish();
}

fn print_ratios(subject: &Subject, user: &str) {
    let id = checked(user);
    print_ratio(subject, user, "arm, one hash", Visit::Control, || subject.arm(id));
    for visit in Visit::ALL {
        print_ratio(subject, user, visit.name(), visit, || subject.assign(visit, user));
    }
}

fn print_ratio(subject: &Subject, user: &str, what: &str, visit: Visit, mut call: impl FnMut()) {
    let messages = visit.messages(user);
    let paired =
        in_turns(ROUNDS, || (0..ROUND).for_each(|_| call()), || (0..ROUND).for_each(|_| subject.raw(&messages)));
    let nanos = |seconds: f64| seconds * 1e9 / f64::from(ROUND);
    println!(
        "{:>15} {:>4}  {what:<22} {:>6.0} ns {:>6.0} ns {:>7.2}",
        subject.hasher.mode().name(),
        user.len(),
        nanos(paired.a_seconds),
        nanos(paired.b_seconds),
        paired.a_to_b,
    );
}
