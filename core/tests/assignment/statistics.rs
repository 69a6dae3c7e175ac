//! Goal: users are spread over the variants as the weights say, and neither enrolment nor another salt, mode or secret
//! tells anything of a user's variant.
//!
//! Method: chi-square over fixed ids and salts. All is fully determined, so no test comes and goes, and each check is
//! shown to notice the fault that it is for.

use std::collections::{BTreeMap, BTreeSet};

use hookproof_core::assignment::{COVERAGE_FULL_PPM, Frame, Hasher, UserId, Weights};
use hookproof_core::experiment::{Experiment, Exposed, HashSpec, Phase, Spec, VariantSpec};

/// The chance of a false alarm that each comparison has, chosen before the first run: some thirty of them together stay
/// below one in ten thousand, so an alarm means a fault rather than bad luck.
const SIGNIFICANCE: f64 = 1e-6;
/// How many sequential ids the tests of one salt draw.
const ID_COUNT: u32 = 200_000;
/// The salts of the tests over many, `experiment-0` and so on, and the ids that each of them sees.
const SALT_COUNT: usize = 300;
const ID_COUNT_PER_SALT: u32 = 9_000;
/// The parts that words and p-values are sorted into. Nine make the degrees of freedom, 8 and 64, even.
const PARTS: usize = 9;
/// Equal weights of the parts.
const EQUAL: [u32; PARTS] = [1; PARTS];

fn user(id: &str) -> UserId<'_> {
    UserId::new(id.as_bytes()).expect("the id is permitted")
}

fn frame(text: &str) -> Frame<'_> {
    Frame::new(text).expect("the text fits into a frame")
}

/// The hashers of both modes under `salt`.
fn hashers(salt: &str) -> [Hasher; 2] {
    [Hasher::sha256_v1(frame(salt), frame("l")), keyed_hasher(b"a secret of the tests", salt)]
}

fn keyed_hasher(secret: &[u8], salt: &str) -> Hasher {
    Hasher::hmac_sha256_v1(secret, frame(salt), frame("l")).expect("the secret is not empty")
}

fn weights(weights: [u32; PARTS]) -> Weights {
    Weights::new(weights).expect("the weights are permitted")
}

/// Two properties of each id, sorted into parts: how many ids have each pair of parts.
type Pairs = [[u32; PARTS]; PARTS];

/// Sorts `ID_COUNT` ids by two words each.
fn tally(words: impl Fn(UserId<'_>) -> (u64, u64)) -> Pairs {
    let parts = weights(EQUAL);
    let mut pairs = [[0; PARTS]; PARTS];
    for n in 0..ID_COUNT {
        let (first, second) = words(user(&format!("user-{n}")));
        pairs[parts.pick(first)][parts.pick(second)] += 1;
    }
    pairs
}

/// The sums of rows and columns.
fn margins(pairs: &Pairs) -> [[u32; PARTS]; 2] {
    let rows = pairs.map(|row| row.iter().sum());
    let columns = std::array::from_fn(|column| pairs.iter().map(|row| row[column]).sum());
    [rows, columns]
}

/// The p-value of shares that are those of `weights`.
fn p_of_shares(counts: [u32; PARTS], weights: [u32; PARTS]) -> f64 {
    let sum = |numbers: [u32; PARTS]| f64::from(numbers.iter().sum::<u32>());
    let expected = weights.map(|weight| sum(counts) * f64::from(weight) / sum(weights));
    let cells = std::iter::zip(counts, expected);
    p_value(cells.map(|(count, expected)| (f64::from(count) - expected).powi(2) / expected).sum(), PARTS - 1)
}

/// The p-value of rows and columns that are independent of each other.
fn p_of_independence(pairs: &Pairs) -> f64 {
    let [rows, columns] = margins(pairs);
    let total = f64::from(rows.iter().sum::<u32>());
    let cells = (0..PARTS).flat_map(|row| (0..PARTS).map(move |column| (row, column)));
    let statistic = cells.map(|(row, column)| {
        let expected = f64::from(rows[row]) * f64::from(columns[column]) / total;
        (f64::from(pairs[row][column]) - expected).powi(2) / expected
    });
    p_value(statistic.sum(), (PARTS - 1).pow(2))
}

/// How often chi-square exceeds `statistic` by chance. For an even number of degrees of freedom that is a sum of Poisson
/// probabilities: of fewer than half as many events where half the statistic is expected.
fn p_value(statistic: f64, freedom: usize) -> f64 {
    let mean = statistic / 2.0;
    let terms = (1..freedom / 2).scan((-mean).exp(), |term, n| {
        *term *= mean / n as f64;
        Some(*term)
    });
    (-mean).exp() + terms.sum::<f64>()
}

/// Two p-values of a family of independent ones: of the smallest (after Bonferroni), which a single bad salt makes small,
/// and of their even spread, which a fault too slight to show in any one salt makes small, and so do results too good to
/// be random.
fn p_of_family(family: &[f64]) -> [f64; 2] {
    let smallest = family.iter().copied().fold(1.0, f64::min);
    let mut counts = [0; PARTS];
    for p in family {
        let part = (1..PARTS).filter(|&part| p * PARTS as f64 >= part as f64).count();
        counts[part] += 1;
    }
    [smallest * family.len() as f64, p_of_shares(counts, EQUAL)]
}

fn is_plausible(p: f64) -> bool {
    p >= SIGNIFICANCE
}

#[test]
fn p_values_are_those_of_the_tables() {
    for (statistic, freedom, p) in [(15.507, 8, 0.05), (26.124, 8, 0.001), (83.675, 64, 0.05), (0.0, 8, 1.0)] {
        assert!((p_value(statistic, freedom) / p - 1.0).abs() < 1e-3, "{statistic}");
    }
}

#[test]
fn variants_and_enrolment_are_uniform_and_independent_of_each_other() {
    for hasher in hashers("experiment-a") {
        let pairs = tally(|user| (hasher.assignment_word(user), hasher.enrolment_word(user)));
        for counts in margins(&pairs) {
            assert!(is_plausible(p_of_shares(counts, EQUAL)), "{:?}: {counts:?}", hasher.mode());
        }
        assert!(is_plausible(p_of_independence(&pairs)), "{:?}: {pairs:?}", hasher.mode());
    }
}

#[test]
fn two_salts_modes_or_secrets_assign_independently() {
    let [plain, keyed] = hashers("experiment-a");
    let [plain_resalted, keyed_resalted] = hashers("experiment-b");
    let rekeyed = keyed_hasher(b"b secret of the tests", "experiment-a");
    let two = [
        ("salts", &plain, &plain_resalted),
        ("salts under a secret", &keyed, &keyed_resalted),
        ("modes", &plain, &keyed),
        ("secrets", &keyed, &rekeyed),
    ];
    for (what, one, other) in two {
        let pairs = tally(|user| (one.assignment_word(user), other.assignment_word(user)));
        assert!(is_plausible(p_of_independence(&pairs)), "two {what}: {pairs:?}");
    }
}

/// The part of every id by its assignment word and by its enrolment word.
fn parts_of(hasher: &Hasher, ids: &[String]) -> [Vec<usize>; 2] {
    let parts = weights(EQUAL);
    let sort = |word: &dyn Fn(UserId<'_>) -> u64| ids.iter().map(|id| parts.pick(word(user(id)))).collect();
    [sort(&|user| hasher.assignment_word(user)), sort(&|user| hasher.enrolment_word(user))]
}

fn pair(rows: &[usize], columns: &[usize]) -> Pairs {
    let mut pairs = [[0; PARTS]; PARTS];
    std::iter::zip(rows, columns).for_each(|(&row, &column)| pairs[row][column] += 1);
    pairs
}

#[test]
fn over_many_salts_the_p_values_are_as_chance_has_them() {
    let ids: Vec<String> = (0..ID_COUNT_PER_SALT).map(|n| format!("user-{n}")).collect();
    for mode in 0..2 {
        let salts = (0..=SALT_COUNT).map(|n| parts_of(&hashers(&format!("experiment-{n}"))[mode], &ids));
        let salts: Vec<_> = salts.collect();
        let mut families: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for ([variants, enrolment], [next_variants, _]) in std::iter::zip(&salts, &salts[1..]) {
            let pairs = pair(variants, enrolment);
            let [variant_counts, enrolment_counts] = margins(&pairs);
            for (what, p) in [
                ("even variants", p_of_shares(variant_counts, EQUAL)),
                ("even enrolment", p_of_shares(enrolment_counts, EQUAL)),
                ("variant and enrolment", p_of_independence(&pairs)),
                ("variants under neighbouring salts", p_of_independence(&pair(variants, next_variants))),
            ] {
                families.entry(what).or_default().push(p);
            }
        }
        for (what, family) in families {
            assert_eq!(family.len(), SALT_COUNT);
            let p = p_of_family(&family);
            assert!(p.into_iter().all(is_plausible), "{what}, mode {mode}: {p:?}");
        }
    }
}

#[test]
fn a_ramp_at_half_has_the_shares_of_the_weights_within_it_and_outside() {
    // The last variant has the weight zero and gets nobody.
    let declared = [90, 1, 2, 3, 5, 8, 13, 21, 34, 0];
    let shares: [u32; PARTS] = std::array::from_fn(|variant| declared[variant]);
    for hash in [HashSpec::Sha256V1, HashSpec::HmacSha256V1 { secret: b"secret".to_vec() }] {
        let variants = std::iter::zip(0.., declared);
        let spec = Spec {
            id: "experiment-a".to_owned(),
            namespace: "sim".to_owned(),
            lineage: None,
            version: "1".to_owned(),
            hash,
            salt: None,
            coverage_ppm: COVERAGE_FULL_PPM / 2,
            variants: variants
                .map(|(n, weight): (u32, _)| VariantSpec { name: n.to_string(), weight, grant: None })
                .collect(),
            generation: 0,
            exposed: Exposed::Keep,
            phase: Phase::Running,
            operations: BTreeSet::new(),
        };
        let experiment = Experiment::new(spec).expect("the spec is permitted");
        let mut counts = [[0; PARTS]; 2];
        for n in 0..ID_COUNT {
            let assignment = experiment.assign(user(&format!("user-{n}")));
            counts[usize::from(assignment.enrolled)][assignment.variant.index()] += 1;
        }
        for counts in counts {
            assert!(is_plausible(p_of_shares(counts, shares)), "{:?}: {counts:?}", experiment.mode());
        }
    }
}

#[test]
fn the_checks_notice_bias_and_dependence() {
    let [hasher, _] = hashers("experiment-a");
    let pairs = tally(|user| (hasher.assignment_word(user), hasher.assignment_word(user)));
    assert!(!is_plausible(p_of_independence(&pairs)), "each id in the same part twice");

    // One part gets a tenth more than each other.
    let biased = weights(std::array::from_fn(|part| if part == 0 { 11 } else { 10 }));
    let mut counts = [0; PARTS];
    (0..ID_COUNT).for_each(|n| counts[biased.pick(hasher.assignment_word(user(&format!("user-{n}"))))] += 1);
    assert!(!is_plausible(p_of_shares(counts, EQUAL)), "{counts:?}");
}

#[test]
fn the_check_of_p_values_notices_one_bad_salt_and_a_spread_too_narrow() {
    let even: Vec<f64> = (0..SALT_COUNT).map(|n| (n as f64 + 0.5) / SALT_COUNT as f64).collect();
    assert!(p_of_family(&even).into_iter().all(is_plausible));

    let one_bad = [&even[1..], &[1e-9]].concat();
    assert!(!is_plausible(p_of_family(&one_bad)[0]));

    let narrow: Vec<f64> = even.iter().map(|p| 0.25 + p / 2.0).collect();
    assert!(!is_plausible(p_of_family(&narrow)[1]));
}
