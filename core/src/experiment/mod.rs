//! Experiments: what was declared, checked once, and the variant of every user.
//!
//! Owns [`Experiment::assign`]; what may be declared is in `spec` and `rules`, what one version may change of another in
//! [`change`]. Does not know who was exposed before: a stored first assignment wins over the one worked out here. The
//! bytes that are hashed are [`crate::assignment`]'s affair.
//!
//! * `ASSIGN-2`: a first assignment depends on mode, salt or secret, weights and user id only. Names, units, coverage
//!   and version enter no hash, so a new version changes no variant and no grant id.
//! * `GRANT-2`: only a user who is enrolled and whose variant has a grant is given a [`GrantId`].
//!
//! Neither time nor chance enters. Read next: `tests/assignment/properties.rs`.

pub mod change;
mod fingerprint;
mod rules;
mod spec;

use std::collections::BTreeSet;
use std::hash::Hash;

use crate::assignment::{COVERAGE_FULL_PPM, Frame, HashMode, Hasher, UserId, Weights, enrol_ppm};
use crate::identity::GrantId;
use change::Operation;
use rules::{check_names, check_variants, prepare_hasher, prepare_weights};

pub use rules::{Field, SpecError};
pub use spec::{Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};

/// The position of a variant in its experiment's declared order, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariantIndex(u8);

impl VariantIndex {
    /// The variant at position `index`.
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The position, for [`Experiment::variants`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The index of one of an experiment's variants.
    fn of(position: usize) -> Self {
        Self(u8::try_from(position).expect("an experiment has at most 255 variants"))
    }
}

/// What an experiment says of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// Whether the user takes part under the present coverage and phase.
    pub enrolled: bool,
    /// The user's variant, worked out for users who do not take part, too, so that a ramp does not change it.
    pub variant: VariantIndex,
    /// The grant to make: some exactly if the user is enrolled and the variant is a treatment.
    pub grant: Option<GrantId>,
}

/// A checked experiment, prepared for assigning users. Two are equal if their specs are.
#[derive(Clone, Debug)]
pub struct Experiment {
    spec: Spec,
    framed_lineage: String,
    hasher: Hasher,
    weights: Weights,
}

impl PartialEq for Experiment {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl Eq for Experiment {}

impl Hash for Experiment {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.spec.hash(state);
    }
}

impl Experiment {
    /// The fewest variants an experiment may have.
    pub const VARIANTS_MIN: usize = 2;
    /// The most variants an experiment may have.
    pub const VARIANTS_MAX: usize = 255;

    /// Checks `spec` and prepares its hashes.
    ///
    /// # Errors
    /// All broken rules at once, in the order of the spec's fields.
    pub fn new(spec: Spec) -> Result<Self, Vec<SpecError>> {
        let mut errors = check_names(&spec);
        let framed_lineage = format!("{}/{}", spec.namespace, spec.lineage_or_id());
        let hasher = prepare_hasher(&spec, &framed_lineage, &mut errors);
        if spec.coverage_ppm > COVERAGE_FULL_PPM {
            errors.push(SpecError::CoverageTooLarge { coverage_ppm: spec.coverage_ppm });
        }
        let weights = prepare_weights(&spec.variants, &mut errors);
        check_variants(&spec.variants, &mut errors);
        match (hasher, weights) {
            (Some(hasher), Some(weights)) if errors.is_empty() => Ok(Self { spec, framed_lineage, hasher, weights }),
            _ => Err(errors),
        }
    }

    /// The spec as it was given: a lineage or salt left to its default is still absent in it.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The experiment's id.
    pub fn id(&self) -> &str {
        &self.spec.id
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.spec.namespace
    }

    /// The lineage, by default the id.
    pub fn lineage(&self) -> &str {
        self.spec.lineage_or_id()
    }

    /// The lineage as hashed into grant ids: namespace, `/`, lineage. As no namespace contains a `/`, no two pairs of
    /// them give the same text.
    pub fn framed_lineage(&self) -> &str {
        &self.framed_lineage
    }

    /// The version.
    pub fn version(&self) -> &str {
        &self.spec.version
    }

    /// The hash.
    pub const fn mode(&self) -> HashMode {
        self.spec.hash.mode()
    }

    /// The salt, by default the id.
    pub fn salt(&self) -> &str {
        self.spec.salt_or_id()
    }

    /// The share of users who take part, in parts per million.
    pub const fn coverage_ppm(&self) -> u32 {
        self.spec.coverage_ppm
    }

    /// The variants in declared order.
    pub fn variants(&self) -> &[VariantSpec] {
        &self.spec.variants
    }

    /// The generation that is recorded with exposures under this version.
    pub const fn generation(&self) -> u8 {
        self.spec.generation
    }

    /// Whether users exposed in an earlier generation see the baseline.
    pub const fn blocks_exposed(&self) -> bool {
        matches!(self.spec.exposed, Exposed::Block)
    }

    /// Whether a user whose recorded exposure has this generation sees the baseline.
    pub const fn blocks(&self, recorded_generation: u8) -> bool {
        self.blocks_exposed() && recorded_generation < self.spec.generation
    }

    /// Whether nobody new is exposed.
    pub const fn is_ended(&self) -> bool {
        matches!(self.spec.phase, Phase::Ended)
    }

    /// What the author calls the change from the version before.
    pub const fn operations(&self) -> &BTreeSet<Operation> {
        &self.spec.operations
    }

    /// The variant for users who do not take part or whose own can't be told: the first control, or the first variant
    /// if all are treatments.
    pub fn baseline(&self) -> VariantIndex {
        VariantIndex::of(self.spec.variants.iter().position(|variant| variant.grant.is_none()).unwrap_or(0))
    }

    /// The units of the largest grant that a variant has, 0 if there are only controls.
    pub fn largest_grant(&self) -> u32 {
        self.spec
            .variants
            .iter()
            .filter_map(|variant| variant.grant.as_ref())
            .map(|grant| grant.units)
            .max()
            .unwrap_or(0)
    }

    /// The user's assignment. It computes only the hashes it needs (one to three) and allocates nothing.
    pub fn assign(&self, user: UserId<'_>) -> Assignment {
        let variant = self.weights.pick(self.hasher.assignment_word(user));
        let enrolled = match self.spec.coverage_ppm {
            _ if self.is_ended() => false,
            0 => false,
            COVERAGE_FULL_PPM => true,
            coverage => enrol_ppm(self.hasher.enrolment_word(user)) < coverage,
        };
        let grant = match &self.spec.variants[variant].grant {
            Some(grant) if enrolled => {
                let effect = Frame::new(&grant.effect).expect("its length was checked when the experiment was made");
                Some(self.hasher.grant_id(effect, user))
            }
            Some(_) | None => None,
        };
        Assignment { enrolled, variant: VariantIndex::of(variant), grant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, weight: u32, grant: Option<(u32, &str)>) -> VariantSpec {
        let grant = grant.map(|(units, effect)| GrantSpec { units, effect: effect.to_owned() });
        VariantSpec { name: name.to_owned(), weight, grant }
    }

    fn spec() -> Spec {
        Spec {
            id: "quota".to_owned(),
            namespace: "sim".to_owned(),
            lineage: None,
            version: "1".to_owned(),
            hash: HashSpec::Sha256V1,
            salt: None,
            coverage_ppm: COVERAGE_FULL_PPM,
            variants: vec![variant("control", 50, None), variant("extra", 50, Some((25, "increase")))],
            generation: 0,
            exposed: Exposed::Keep,
            phase: Phase::Running,
            operations: BTreeSet::new(),
        }
    }

    fn user(id: &str) -> UserId<'_> {
        UserId::new(id.as_bytes()).unwrap()
    }

    #[test]
    fn lineage_and_salt_default_to_the_id() {
        let experiment = Experiment::new(spec()).unwrap();
        assert_eq!((experiment.lineage(), experiment.salt()), ("quota", "quota"));
        assert_eq!(experiment.framed_lineage(), "sim/quota");

        let (lineage, salt) = (Some("first".to_owned()), Some(String::new()));
        let experiment = Experiment::new(Spec { lineage, salt, ..spec() }).unwrap();
        assert_eq!((experiment.framed_lineage(), experiment.salt()), ("sim/first", ""));
    }

    #[test]
    fn each_rule_names_its_field() {
        let too_long = "x".repeat(256);
        let with = |change: &dyn Fn(&mut Spec)| {
            let mut spec = spec();
            change(&mut spec);
            spec
        };
        let cases = [
            (with(&|spec| spec.id.clear()), Field::Id),
            (with(&|spec| spec.namespace.clear()), Field::Namespace),
            (with(&|spec| spec.namespace = "a/b".to_owned()), Field::Namespace),
            (with(&|spec| spec.lineage = Some("l".repeat(252))), Field::Lineage),
            (with(&|spec| spec.hash = HashSpec::HmacSha256V1 { secret: vec![] }), Field::Secret),
            (with(&|spec| spec.salt = Some(too_long.clone())), Field::Salt),
            (with(&|spec| spec.coverage_ppm = 1_000_001), Field::Coverage),
            (with(&|spec| spec.variants.truncate(1)), Field::Variants),
            (with(&|spec| spec.variants.clear()), Field::Variants),
            (with(&|spec| spec.variants.iter_mut().for_each(|variant| variant.weight = 0)), Field::Variants),
            (with(&|spec| spec.variants[1].weight = u32::MAX), Field::VariantWeight(1)),
            (with(&|spec| spec.variants[0].name.clear()), Field::VariantName(0)),
            (with(&|spec| spec.variants[1].name = "control".to_owned()), Field::VariantName(1)),
            (with(&|spec| spec.variants[1].name = "two\nlines".to_owned()), Field::VariantName(1)),
            (with(&|spec| spec.variants[1] = variant("extra", 1, Some((0, "e")))), Field::VariantGrant(1)),
            (with(&|spec| spec.variants[1] = variant("extra", 1, Some((1, &too_long)))), Field::VariantEffect(1)),
        ];
        for (spec, field) in cases {
            let errors = Experiment::new(spec).unwrap_err();
            assert_eq!(errors.iter().map(SpecError::field).collect::<Vec<_>>(), [field], "{errors:?}");
            assert!(!errors[0].remedy().is_empty());
        }
    }

    #[test]
    fn the_limits_themselves_are_permitted() {
        let mut spec = Spec { lineage: Some("l".repeat(251)), salt: Some("s".repeat(255)), coverage_ppm: 0, ..spec() };
        spec.variants = (0..255).map(|n| variant(&n.to_string(), u32::from(n == 254), None)).collect();
        spec.variants[254].grant = Some(GrantSpec { units: 1, effect: "e".repeat(255) });
        let experiment = Experiment::new(spec).unwrap();
        assert_eq!(experiment.assign(user("anyone")).variant, VariantIndex::new(254));
    }

    #[test]
    fn all_broken_rules_are_reported_at_once_in_the_specs_order() {
        let broken = Spec {
            id: String::new(),
            namespace: "/".to_owned(),
            lineage: Some("l".repeat(254)),
            version: String::new(),
            hash: HashSpec::HmacSha256V1 { secret: vec![] },
            salt: Some("s".repeat(300)),
            coverage_ppm: u32::MAX,
            variants: vec![variant("", 0, Some((0, "e"))); 256],
            ..spec()
        };
        let errors = Experiment::new(broken).unwrap_err();
        assert_eq!(
            errors[..8],
            [
                SpecError::IdEmpty,
                SpecError::NamespaceSlash,
                SpecError::LineageTooLong { length: 256 },
                SpecError::SecretEmpty,
                SpecError::SaltTooLong { length: 300 },
                SpecError::CoverageTooLarge { coverage_ppm: u32::MAX },
                SpecError::VariantCount { count: 256 },
                SpecError::WeightsZero,
            ]
        );
        assert_eq!(errors.len(), 8 + 2 * 256);
        assert_eq!(errors[9].to_string(), "the grant of variant 1 is 0 units");
    }

    #[test]
    fn the_baseline_is_the_first_control_or_the_first_variant() {
        let mut spec = spec();
        spec.variants.swap(0, 1);
        assert_eq!(Experiment::new(spec.clone()).unwrap().baseline(), VariantIndex::new(1));
        spec.variants[1].grant = Some(GrantSpec { units: 40, effect: "increase".to_owned() });
        let experiment = Experiment::new(spec).unwrap();
        assert_eq!((experiment.baseline(), experiment.largest_grant()), (VariantIndex::new(0), 40));
    }

    #[test]
    fn only_enrolled_users_of_a_treatment_get_a_grant() {
        let mut spec = Spec { coverage_ppm: 500_000, ..spec() };
        spec.variants[0].weight = 0;
        let experiment = Experiment::new(spec.clone()).unwrap();
        let assignments: Vec<_> = (0..100).map(|n| experiment.assign(user(&format!("user-{n}")))).collect();
        assert!(assignments.iter().all(|assignment| assignment.enrolled == assignment.grant.is_some()));
        assert!(assignments.iter().any(|assignment| assignment.enrolled));
        assert!(assignments.iter().any(|assignment| !assignment.enrolled));

        spec.variants[1].grant = None;
        let controls = Experiment::new(spec).unwrap();
        assert_eq!(controls.largest_grant(), 0);
        assert!((0..100).all(|n| controls.assign(user(&format!("user-{n}"))).grant.is_none()));
    }

    #[test]
    fn an_ended_experiment_enrols_nobody_and_changes_no_variant() {
        let (running, ended) = (spec(), Spec { phase: Phase::Ended, ..spec() });
        let (running, ended) = (Experiment::new(running).unwrap(), Experiment::new(ended).unwrap());
        for id in (0..100).map(|n| format!("user-{n}")) {
            let (before, after) = (running.assign(user(&id)), ended.assign(user(&id)));
            assert_eq!(after, Assignment { enrolled: false, grant: None, ..before });
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let hash = HashSpec::HmacSha256V1 { secret: b"hush".to_vec() };
        let spec = Spec { hash, ..spec() };
        let text = format!("{spec:?} {:?}", Experiment::new(spec.clone()).unwrap());
        let bytes = format!("{:?}", b"hush");
        assert!(!text.contains("hush") && !text.contains(&bytes) && text.contains("HmacSha256V1 { .. }"), "{text}");
    }
}
