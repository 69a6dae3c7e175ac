//! Goal: what holds for every experiment, not only for the golden vectors: even shares, independent experiments, ramps
//! that move nobody, grant ids that never meet, and no panic on any bytes.
//!
//! Method: chi-square over fixed ids (fully determined, so a threshold can't flake) and properties over random
//! experiments whose seed is fixed here. `PROPTEST_CASES` raises their number.

use std::collections::{BTreeMap, BTreeSet};

use hookproof_core::assignment::{COVERAGE_FULL_PPM, Frame, Hasher, InvalidUserId, UserId, Weights, enrol_ppm};
use hookproof_core::experiment::{Assignment, Experiment, GrantSpec, HashSpec, Spec, VariantSpec};
use hookproof_core::identity::GrantId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// The seed of all random cases.
const SEED: u64 = 7;
/// How many sequential ids the chi-square tests draw.
const ID_COUNT: u32 = 200_000;
/// Equal parts that the words are sorted into.
const PARTS: usize = 10;
/// Exceeded by chance once in a million sets of ids: the quantile of chi-square with 9 degrees of freedom.
const CHI_SQUARE_9_MAX: f64 = 45.1;
/// The same for 81 degrees of freedom.
const CHI_SQUARE_81_MAX: f64 = 156.5;

/// Fixed seed; failures are repeated by it, so none are written to a file.
fn config() -> Config {
    Config { rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Config::default() }
}

fn user(id: &str) -> UserId<'_> {
    UserId::new(id.as_bytes()).expect("the id is permitted")
}

fn frame(text: &str) -> Frame<'_> {
    Frame::new(text).expect("the text fits into a frame")
}

/// The hashers of both modes under `salt`.
fn hashers(salt: &str) -> [Hasher; 2] {
    let keyed = Hasher::hmac_sha256_v1(b"a secret of the tests", frame(salt), frame("l"));
    [Hasher::sha256_v1(frame(salt), frame("l")), keyed.expect("the secret is not empty")]
}

/// Sorts the ids into parts by two words each and counts the pairs.
fn tally(words: impl Fn(UserId<'_>) -> (u64, u64)) -> [[u32; PARTS]; PARTS] {
    let parts = Weights::new([1; PARTS]).expect("the weights are permitted");
    let mut counts = [[0; PARTS]; PARTS];
    for n in 0..ID_COUNT {
        let (first, second) = words(user(&format!("user-{n}")));
        counts[parts.pick(first)][parts.pick(second)] += 1;
    }
    counts
}

/// Chi-square of how even the counts are, one degree of freedom less than there are parts.
fn chi_square_even(counts: [u32; PARTS]) -> f64 {
    let expected = f64::from(ID_COUNT) / PARTS as f64;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

/// Chi-square of how independent rows and columns are, (`PARTS` - 1)² degrees of freedom.
fn chi_square_independent(counts: &[[u32; PARTS]; PARTS]) -> f64 {
    let (rows, columns) = margins(counts);
    let cells = (0..PARTS).flat_map(|row| (0..PARTS).map(move |column| (row, column)));
    cells
        .map(|(row, column)| {
            let expected = f64::from(rows[row]) * f64::from(columns[column]) / f64::from(ID_COUNT);
            (f64::from(counts[row][column]) - expected).powi(2) / expected
        })
        .sum()
}

/// The sums of rows and columns.
fn margins(counts: &[[u32; PARTS]; PARTS]) -> ([u32; PARTS], [u32; PARTS]) {
    let rows = counts.map(|row| row.iter().sum());
    let columns = std::array::from_fn(|column| counts.iter().map(|row| row[column]).sum());
    (rows, columns)
}

#[test]
fn variants_and_enrolment_are_uniform_and_independent_of_each_other() {
    for hasher in hashers("experiment-a") {
        let counts = tally(|user| (hasher.assignment_word(user), hasher.enrolment_word(user)));
        let (assignment, enrolment) = margins(&counts);
        assert!(chi_square_even(assignment) < CHI_SQUARE_9_MAX, "{:?}: {assignment:?}", hasher.mode());
        assert!(chi_square_even(enrolment) < CHI_SQUARE_9_MAX, "{:?}: {enrolment:?}", hasher.mode());
        assert!(chi_square_independent(&counts) < CHI_SQUARE_81_MAX, "{:?}: {counts:?}", hasher.mode());
    }
}

#[test]
fn two_salts_assign_independently() {
    for (one, other) in std::iter::zip(hashers("experiment-a"), hashers("experiment-b")) {
        let counts = tally(|user| (one.assignment_word(user), other.assignment_word(user)));
        assert!(chi_square_independent(&counts) < CHI_SQUARE_81_MAX, "{:?}: {counts:?}", one.mode());
    }
}

#[test]
fn the_independence_check_notices_dependence() {
    let [hasher, _] = hashers("experiment-a");
    let counts = tally(|user| (hasher.assignment_word(user), hasher.assignment_word(user)));
    assert!(chi_square_independent(&counts) > CHI_SQUARE_81_MAX);
}

/// What makes a grant: namespace, lineage, effect and user.
type Fields<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The id of that grant in an experiment of treatments only.
fn grant_id((namespace, lineage, effect, id): Fields<'_>, hash: HashSpec) -> GrantId {
    let treatment = |name: &str| VariantSpec {
        name: name.to_owned(),
        weight: 1,
        grant: Some(GrantSpec { units: 1, effect: effect.to_owned() }),
    };
    let spec = Spec {
        id: "experiment".to_owned(),
        namespace: namespace.to_owned(),
        lineage: Some(lineage.to_owned()),
        version: "1".to_owned(),
        hash,
        salt: None,
        coverage_ppm: COVERAGE_FULL_PPM,
        variants: vec![treatment("a"), treatment("b")],
    };
    let experiment = Experiment::new(spec).expect("the spec is permitted");
    experiment.assign(user(id)).grant.expect("everyone is enrolled in a treatment")
}

/// All ways to cut `text`, which is ASCII, into permitted fields.
fn cuts(text: &str) -> BTreeSet<Fields<'_>> {
    let end = text.len();
    let mut fields = BTreeSet::new();
    for first in 1..end {
        for second in first..end {
            for third in second..end {
                fields.insert((&text[..first], &text[first..second], &text[second..third], &text[third..]));
            }
        }
    }
    fields.retain(|(namespace, _, _, id)| !namespace.contains('/') && UserId::new(id.as_bytes()).is_ok());
    fields
}

#[test]
fn the_same_bytes_cut_differently_are_different_grants() {
    // The control characters look like the length bytes of frames.
    let texts = ["aaaaaaaa", "a/aa/aa/a", "a\u{1}\u{2}a\u{3}\u{1}aa"];
    for hash in [HashSpec::Sha256V1, HashSpec::HmacSha256V1 { secret: b"secret".to_vec() }] {
        let mut fields_of = BTreeMap::new();
        for fields in texts.into_iter().flat_map(cuts) {
            assert_eq!(fields_of.insert(grant_id(fields, hash.clone()), fields), None, "{fields:?}");
        }
        assert!(fields_of.len() > 100);
    }
}

/// Permitted experiments with a full or partial coverage, at most eight variants and few different names, so that two
/// of them often share fields.
fn specs() -> impl Strategy<Value = Spec> {
    let hash = prop_oneof![
        Just(HashSpec::Sha256V1),
        vec(any::<u8>(), 1..80).prop_map(|secret| HashSpec::HmacSha256V1 { secret })
    ];
    let coverage_ppm = prop_oneof![Just(0), Just(COVERAGE_FULL_PPM), 1..COVERAGE_FULL_PPM];
    let grant = proptest::option::of((1..100_u32, "[ab/]{0,2}")).prop_map(|grant| {
        let (units, effect) = grant?;
        Some(GrantSpec { units, effect })
    });
    let variants = vec((0..1_000_u32, grant), 2..8).prop_map(|drawn| {
        let mut variants: Vec<_> = std::iter::zip(0.., drawn)
            .map(|(n, (weight, grant)): (u32, _)| VariantSpec { name: n.to_string(), weight, grant })
            .collect();
        variants[0].weight += 1;
        variants
    });
    let salt = proptest::option::of("[ab]{0,70}");
    ("[ab]{1,2}", "[ab]{1,2}", proptest::option::of("[ab/]{0,2}"), "[0-9]{0,2}", hash, salt, coverage_ppm, variants)
        .prop_map(|(id, namespace, lineage, version, hash, salt, coverage_ppm, variants)| Spec {
            id,
            namespace,
            lineage,
            version,
            hash,
            salt,
            coverage_ppm,
            variants,
        })
}

/// Permitted user ids.
fn user_ids() -> impl Strategy<Value = String> {
    "[ab/é]{1,4}|[a-z0-9@.-]{1,40}|\\PC{1,60}"
}

fn assign(spec: Spec, id: &str) -> Assignment {
    Experiment::new(spec).expect("the spec is permitted").assign(user(id))
}

/// The assignment by the definition, with every hash computed whether it is needed or not.
fn assign_by_definition(spec: &Spec, id: &str) -> (bool, usize, Option<GrantId>) {
    let salt = frame(spec.salt.as_ref().unwrap_or(&spec.id));
    let framed_lineage = format!("{}/{}", spec.namespace, spec.lineage.as_ref().unwrap_or(&spec.id));
    let lineage = frame(&framed_lineage);
    let hasher = match &spec.hash {
        HashSpec::Sha256V1 => Hasher::sha256_v1(salt, lineage),
        HashSpec::HmacSha256V1 { secret } => {
            Hasher::hmac_sha256_v1(secret, salt, lineage).expect("the secret is not empty")
        }
    };
    let weights = spec.variants.iter().map(|variant| variant.weight);
    let total: u64 = weights.clone().map(u64::from).sum();
    let point = (u128::from(hasher.assignment_word(user(id))) * u128::from(total)) >> 64;
    let mut cumulative = 0_u128;
    let mut chosen = weights.map(|weight| {
        cumulative += u128::from(weight);
        cumulative > point
    });
    let variant = chosen.position(|exceeds| exceeds).expect("the point is below the sum");
    let enrolled = enrol_ppm(hasher.enrolment_word(user(id))) < spec.coverage_ppm;
    let grant = spec.variants[variant].grant.as_ref().map(|grant| hasher.grant_id(frame(&grant.effect), user(id)));
    (enrolled, variant, grant.filter(|_| enrolled))
}

/// Whether `bytes` are a permitted user id, by the definition's words.
fn is_permitted(bytes: &[u8]) -> bool {
    let controls = ('\0'..='\u{1f}').chain(['\u{7f}']).collect::<Vec<_>>();
    (1..=256).contains(&bytes.len()) && std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(&controls[..]))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_assignment_is_that_of_the_definition(spec in specs(), id in user_ids()) {
        let assignment = assign(spec.clone(), &id);
        let assigned = (assignment.enrolled, assignment.variant.index(), assignment.grant);
        prop_assert_eq!(assigned, assign_by_definition(&spec, &id));
    }

    #[test]
    fn a_ramp_only_adds_users_and_moves_nobody(
        spec in specs(),
        id in user_ids(),
        coverage_ppm in 0..=COVERAGE_FULL_PPM,
    ) {
        let (low, high) = (spec.coverage_ppm.min(coverage_ppm), spec.coverage_ppm.max(coverage_ppm));
        let before = assign(Spec { coverage_ppm: low, ..spec.clone() }, &id);
        let after = assign(Spec { coverage_ppm: high, ..spec }, &id);
        prop_assert!(after.enrolled || !before.enrolled);
        prop_assert_eq!(before.variant, after.variant);
        prop_assert!(before.grant.is_none() || before.grant == after.grant);
    }

    #[test]
    fn a_new_version_with_other_names_and_units_changes_nothing(
        spec in specs(),
        id in user_ids(),
        version in ".{0,8}",
        units in 1..=u32::MAX,
    ) {
        let mut bumped = Spec { version, ..spec.clone() };
        for variant in &mut bumped.variants {
            variant.name.push_str(" renamed");
            variant.grant.iter_mut().for_each(|grant| grant.units = units);
        }
        prop_assert_eq!(assign(spec, &id), assign(bumped, &id));
    }

    #[test]
    fn a_rename_that_keeps_lineage_and_salt_changes_nothing(spec in specs(), id in user_ids(), name in "[ab]{1,3}") {
        let (lineage, salt) = (spec.lineage.as_ref().unwrap_or(&spec.id), spec.salt.as_ref().unwrap_or(&spec.id));
        let renamed = Spec { lineage: Some(lineage.clone()), salt: Some(salt.clone()), id: name, ..spec.clone() };
        prop_assert_eq!(assign(spec, &id), assign(renamed, &id));
    }

    #[test]
    fn two_grants_have_one_id_exactly_if_lineage_effect_and_user_agree(
        one in ["[ab]{1,2}", "[ab/]{0,2}", "[ab/]{0,2}", "[ab/]{1,2}"],
        other in ["[ab]{1,2}", "[ab/]{0,2}", "[ab/]{0,2}", "[ab/]{1,2}"],
        shared in any::<[bool; 4]>(),
    ) {
        let other: [String; 4] = std::array::from_fn(|n| if shared[n] { one[n].clone() } else { other[n].clone() });
        let id = |[namespace, lineage, effect, id]: &[String; 4]| {
            grant_id((namespace, lineage, effect, id), HashSpec::Sha256V1)
        };
        prop_assert_eq!(id(&one) == id(&other), one == other);
    }

    #[test]
    fn any_bytes_are_a_user_id_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(UserId::new(&bytes).is_ok(), is_permitted(&bytes));
    }

    #[test]
    fn any_text_is_a_user_id_kept_as_it_is_or_an_error(text in any::<String>(), repeat in 0..20_usize) {
        let text = text.repeat(repeat);
        match UserId::new(text.as_bytes()) {
            Ok(user) => prop_assert!(is_permitted(text.as_bytes()) && user.as_str() == text),
            Err(error) => prop_assert!(!is_permitted(text.as_bytes()) && error != InvalidUserId::NotUtf8),
        }
    }

    #[test]
    fn a_spec_is_refused_with_causes_or_accepted_whole(
        spec in specs(),
        namespace in "[ab/]{0,3}",
        weights in vec(any::<u32>(), 8),
        coverage_ppm in 0..2 * COVERAGE_FULL_PPM,
        variant_count in 0..8_usize,
    ) {
        let mut spec = Spec { namespace, coverage_ppm, ..spec };
        spec.variants.truncate(variant_count);
        std::iter::zip(&mut spec.variants, &weights).for_each(|(variant, &weight)| variant.weight = weight);
        let total: u64 = spec.variants.iter().map(|variant| u64::from(variant.weight)).sum();
        let permitted = !spec.namespace.is_empty()
            && !spec.namespace.contains('/')
            && coverage_ppm <= COVERAGE_FULL_PPM
            && spec.variants.len() >= Experiment::VARIANTS_MIN
            && (1..1 << 32).contains(&total);
        match Experiment::new(spec.clone()) {
            Ok(experiment) => prop_assert!(permitted && experiment.spec() == &spec),
            Err(errors) => prop_assert!(!permitted && !errors.is_empty()),
        }
    }
}
