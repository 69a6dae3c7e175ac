//! Goal: what holds for every experiment, not only for the golden vectors: ramps that move nobody, grant ids that never
//! meet, and no panic on any bytes.
//!
//! Method: properties over random experiments whose seed is fixed here, so no test comes and goes; `PROPTEST_CASES` raises
//! their number. Grants also over all combinations of fields that imitate each other. Even shares and independence are
//! the affair of `statistics.rs`.

use std::collections::{BTreeMap, BTreeSet};

use hookproof_core::assignment::{COVERAGE_FULL_PPM, Frame, Hasher, InvalidUserId, UserId, enrol_ppm};
use hookproof_core::experiment::{Assignment, Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use hookproof_core::identity::GrantId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// The seed of all random cases.
const SEED: u64 = 7;

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

/// What makes a grant: namespace, lineage, effect and user.
type Fields<'a> = (&'a str, &'a str, &'a str, &'a str);

fn variant(name: String, weight: u32, grant: Option<GrantSpec>) -> VariantSpec {
    VariantSpec { name, weight, grant }
}

/// An experiment of treatments only, in which everyone is enrolled.
fn treatments(namespace: &str, lineage: &str, effect: &str) -> Spec {
    let treatment = |name: &str| variant(name.to_owned(), 1, Some(GrantSpec { units: 1, effect: effect.to_owned() }));
    Spec {
        id: "experiment".to_owned(),
        namespace: namespace.to_owned(),
        lineage: Some(lineage.to_owned()),
        version: "1".to_owned(),
        hash: HashSpec::Sha256V1,
        salt: None,
        coverage_ppm: COVERAGE_FULL_PPM,
        variants: vec![treatment("a"), treatment("b")],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    }
}

/// The id of that grant.
fn grant_id((namespace, lineage, effect, id): Fields<'_>, hash: HashSpec) -> GrantId {
    let spec = Spec { hash, ..treatments(namespace, lineage, effect) };
    assign(spec, id).grant.expect("everyone is enrolled in a treatment")
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

#[test]
fn fields_that_imitate_frames_are_different_grants_in_every_mode_and_under_every_secret() {
    // A user id has no control characters, so what it can imitate is the length of a long text: `a` is 97, `/` is 47.
    let [long, longer] = [47, 97].map(|length| "b".repeat(length));
    let imitations = [format!("/{long}"), format!("a{longer}")];
    let texts = ["", "a", "/", "\0", "\u{1}", "\u{1}a", "a\u{1}", "\u{1}\u{1}", "a/a", &long, &longer];
    let texts = || texts.into_iter().chain(imitations.iter().map(String::as_str));
    let namespaces = || ["a", "b", "\u{1}", "a\u{1}", &longer];
    let users = || ["a", "aa", "/a", "1"].into_iter().chain(imitations.iter().map(String::as_str));
    let hashes = [
        HashSpec::Sha256V1,
        HashSpec::HmacSha256V1 { secret: b"a".to_vec() },
        HashSpec::HmacSha256V1 {
            secret: b"a secret longer than the block of the hash, of which there are 64".to_vec(),
        },
    ];
    let (mut fields_of, mut unframed) = (BTreeMap::new(), BTreeSet::new());
    for hash in &hashes {
        for (namespace, lineage) in namespaces().into_iter().flat_map(|one| texts().map(move |other| (one, other))) {
            for (effect, id) in texts().flat_map(|one| users().map(move |other| (one, other))) {
                let fields = (namespace, lineage, effect, id);
                let earlier = fields_of.insert(grant_id(fields, hash.clone()), (hash, fields));
                assert_eq!(earlier, None, "{hash:?} {fields:?}");
                unframed.insert([namespace, lineage, effect, id].concat());
            }
        }
    }
    assert_eq!(fields_of.len(), 3 * 5 * 13 * 13 * 6);
    assert!(fields_of.len() / 3 - unframed.len() > 1_000, "without frames, more than a thousand would meet");
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
            generation: 0,
            exposed: Exposed::Keep,
            phase: Phase::Running,
            operations: BTreeSet::new(),
        })
}

/// Permitted user ids.
fn user_ids() -> impl Strategy<Value = String> {
    "[ab/é]{1,4}|[a-z0-9@.-]{1,40}|\\PC{1,60}"
}

fn assign(spec: Spec, id: &str) -> Assignment {
    Experiment::new(spec).expect("the spec is permitted").assign(user(id))
}

/// The hasher by the definition.
fn hasher_of(spec: &Spec) -> Hasher {
    let salt = frame(spec.salt.as_ref().unwrap_or(&spec.id));
    let framed_lineage = format!("{}/{}", spec.namespace, spec.lineage.as_ref().unwrap_or(&spec.id));
    let lineage = frame(&framed_lineage);
    match &spec.hash {
        HashSpec::Sha256V1 => Hasher::sha256_v1(salt, lineage),
        HashSpec::HmacSha256V1 { secret } => {
            Hasher::hmac_sha256_v1(secret, salt, lineage).expect("the secret is not empty")
        }
    }
}

/// The assignment by the definition, with every hash computed whether it is needed or not.
fn assign_by_definition(spec: &Spec, id: &str) -> (bool, usize, Option<GrantId>) {
    let hasher = hasher_of(spec);
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
    fn a_ramp_adds_each_user_at_their_own_value_and_moves_nobody(
        spec in specs(),
        id in user_ids(),
        mut coverages in vec(0..=COVERAGE_FULL_PPM, 0..6),
    ) {
        let own = enrol_ppm(hasher_of(&spec).enrolment_word(user(&id)));
        coverages.extend([0, own, own + 1, COVERAGE_FULL_PPM]);
        coverages.sort_unstable();
        let steps = coverages.iter().map(|&coverage_ppm| assign(Spec { coverage_ppm, ..spec.clone() }, &id));
        let steps: Vec<Assignment> = steps.collect();
        for (coverage_ppm, step) in std::iter::zip(&coverages, &steps) {
            prop_assert_eq!(step.enrolled, own < *coverage_ppm, "{} of {}", coverage_ppm, own);
        }
        for (before, after) in std::iter::zip(&steps, &steps[1..]) {
            prop_assert!(after.enrolled || !before.enrolled);
            prop_assert_eq!(before.variant, after.variant);
            prop_assert!(before.grant.is_none() || before.grant == after.grant);
        }
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
    fn a_character_moved_to_the_neighbouring_field_is_another_grant(
        before in ["[a-c\\x01é]{1,40}", "[a-c/\\x00-\\x03é]{0,60}", "[a-c/\\x00-\\x03é]{0,60}", "[a-c/é]{1,60}"],
        border in 0..3_usize,
        to_the_left in any::<bool>(),
    ) {
        let mut after = before.clone();
        if to_the_left {
            let first = after[border + 1].chars().next();
            after[border].extend(first);
            after[border + 1].drain(..first.map_or(0, char::len_utf8));
        } else if let Some(last) = after[border].pop() {
            after[border + 1].insert(0, last);
        }
        let [namespace, _, _, id] = &after;
        prop_assume!(before != after && !namespace.is_empty() && !namespace.contains('/'));
        prop_assume!(UserId::new(id.as_bytes()).is_ok());
        let id = |[namespace, lineage, effect, id]: &[String; 4]| {
            grant_id((namespace, lineage, effect, id), HashSpec::Sha256V1)
        };
        prop_assert_ne!(id(&before), id(&after));
    }

    #[test]
    fn two_hashes_agree_exactly_if_mode_and_key_do(
        spec in specs(),
        id in user_ids(),
        one in vec(0..3_u8, 1..4),
        other in vec(0..3_u8, 1..4),
    ) {
        let hash = |secret: &Vec<u8>| HashSpec::HmacSha256V1 { secret: secret.clone() };
        // HMAC fills a key up with zeros, so those at its end make no difference.
        let key = |secret: &Vec<u8>| secret.iter().rposition(|&byte| byte != 0).map(|last| secret[..=last].to_vec());
        let results = [HashSpec::Sha256V1, hash(&one), hash(&other)].map(|hash| {
            let hasher = hasher_of(&Spec { hash, ..spec.clone() });
            let effect = frame("increase");
            (hasher.assignment_word(user(&id)), hasher.enrolment_word(user(&id)), hasher.grant_id(effect, user(&id)))
        });
        let [plain, one_keyed, other_keyed] = results;
        for (left, right, agree) in
            [(plain, one_keyed, false), (plain, other_keyed, false), (one_keyed, other_keyed, key(&one) == key(&other))]
        {
            prop_assert_eq!((left.0 == right.0, left.1 == right.1, left.2 == right.2), (agree, agree, agree));
        }
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
