//! Experiments: what was declared, checked once, and the variant of every user.
//!
//! Owns [`Spec`], its rules and [`Experiment::assign`]. Does not know who was exposed before: a stored first
//! assignment wins over the one worked out here. The bytes that are hashed are [`crate::assignment`]'s affair.
//!
//! * `ASSIGN-2`: a first assignment depends on mode, salt or secret, weights and user id only. Names, units, coverage
//!   and version enter no hash, so a new version changes no variant and no grant id.
//! * `GRANT-2`: only a user who is enrolled and whose variant has a grant is given a [`GrantId`].
//!
//! Neither time nor chance enters. Read next: `tests/assignment_properties.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;

use crate::assignment::{COVERAGE_FULL_PPM, Frame, HashMode, Hasher, InvalidWeights, UserId, Weights, enrol_ppm};
use crate::identity::GrantId;

/// An experiment as declared. Only [`Experiment::new`] says whether it is permitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// The experiment's id, not empty.
    pub id: String,
    /// The deployment whose users these are, such as `production`: not empty, no `/`. Two of them never share a grant.
    pub namespace: String,
    /// What stays the same when the experiment is renamed; default [`Spec::id`]. With the namespace, the effect and the
    /// user it names a grant; `namespace/lineage` has at most 255 bytes.
    pub lineage: Option<String>,
    /// The version, recorded with exposures. It enters no hash.
    pub version: String,
    /// The hash, with the secret of a keyed one.
    pub hash: HashSpec,
    /// The salt of assignment and enrolment, at most 255 bytes; default [`Spec::id`]. Another salt is a reshuffle.
    pub salt: Option<String>,
    /// The share of users who take part, in parts per million.
    pub coverage_ppm: u32,
    /// The variants, 2..=255 of them. Their order counts for the assignment.
    pub variants: Vec<VariantSpec>,
}

impl Spec {
    /// The lineage, whether declared or by default.
    fn lineage_or_id(&self) -> &str {
        self.lineage.as_deref().unwrap_or(&self.id)
    }

    /// The salt, whether declared or by default.
    fn salt_or_id(&self) -> &str {
        self.salt.as_deref().unwrap_or(&self.id)
    }
}

/// One variant as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariantSpec {
    /// Its name: not empty, no control characters, unique in the experiment.
    pub name: String,
    /// Its weight; the weights of all variants add up to 1..=2^32-1.
    pub weight: u32,
    /// What its users get. A variant with a grant is a treatment, one without is a control.
    pub grant: Option<GrantSpec>,
}

/// The quota increase of a treatment as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrantSpec {
    /// How much, in the quota's unit; at least 1. It does not enter the grant's id.
    pub units: u32,
    /// What the grant does, at most 255 bytes: a user gets each effect at most once in a lineage.
    pub effect: String,
}

/// The hash as declared. Printing it does not print the secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum HashSpec {
    /// [`HashMode::Sha256V1`].
    Sha256V1,
    /// [`HashMode::HmacSha256V1`].
    HmacSha256V1 {
        /// The key, not empty; best 32 random bytes.
        secret: Vec<u8>,
    },
}

impl HashSpec {
    /// Which hash it is.
    pub const fn mode(&self) -> HashMode {
        match self {
            Self::Sha256V1 => HashMode::Sha256V1,
            Self::HmacSha256V1 { secret: _ } => HashMode::HmacSha256V1,
        }
    }
}

impl fmt::Debug for HashSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256V1 => f.write_str("Sha256V1"),
            Self::HmacSha256V1 { secret: _ } => f.debug_struct("HmacSha256V1").finish_non_exhaustive(),
        }
    }
}

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
    /// Whether the user takes part under the present coverage.
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

/// Checks what names the experiment.
fn check_names(spec: &Spec) -> Vec<SpecError> {
    let mut errors = Vec::new();
    if spec.id.is_empty() {
        errors.push(SpecError::IdEmpty);
    }
    if spec.namespace.is_empty() {
        errors.push(SpecError::NamespaceEmpty);
    }
    if spec.namespace.contains('/') {
        errors.push(SpecError::NamespaceSlash);
    }
    errors
}

/// Checks what enters the hashes ahead of the user, and prepares them if all of it is permitted.
fn prepare_hasher(spec: &Spec, framed_lineage: &str, errors: &mut Vec<SpecError>) -> Option<Hasher> {
    let lineage =
        Frame::new(framed_lineage).map_err(|error| errors.push(SpecError::LineageTooLong { length: error.length }));
    if matches!(&spec.hash, HashSpec::HmacSha256V1 { secret } if secret.is_empty()) {
        errors.push(SpecError::SecretEmpty);
    }
    let salt =
        Frame::new(spec.salt_or_id()).map_err(|error| errors.push(SpecError::SaltTooLong { length: error.length }));
    let (salt, lineage) = (salt.ok()?, lineage.ok()?);
    match &spec.hash {
        HashSpec::Sha256V1 => Some(Hasher::sha256_v1(salt, lineage)),
        HashSpec::HmacSha256V1 { secret } => Hasher::hmac_sha256_v1(secret, salt, lineage).ok(),
    }
}

/// Checks the number of variants and the sum of their weights, and prepares the weights if that is permitted.
fn prepare_weights(variants: &[VariantSpec], errors: &mut Vec<SpecError>) -> Option<Weights> {
    if !(Experiment::VARIANTS_MIN..=Experiment::VARIANTS_MAX).contains(&variants.len()) {
        errors.push(SpecError::VariantCount { count: variants.len() });
    }
    Weights::new(variants.iter().map(|variant| variant.weight))
        .map_err(|error| match error {
            // Without a variant their number is the only cause worth telling.
            InvalidWeights::Zero if variants.is_empty() => {}
            InvalidWeights::Zero => errors.push(SpecError::WeightsZero),
            InvalidWeights::TooLarge { variant } => errors.push(SpecError::WeightsTooLarge { variant }),
        })
        .ok()
}

/// Checks each variant's name and grant.
fn check_variants(variants: &[VariantSpec], errors: &mut Vec<SpecError>) {
    let mut first_of_name = BTreeMap::new();
    for (variant, declared) in variants.iter().enumerate() {
        let name = declared.name.as_str();
        if name.is_empty() {
            errors.push(SpecError::VariantNameEmpty { variant });
        } else if let Some(&first) = first_of_name.get(name) {
            errors.push(SpecError::VariantNameTaken { variant, first });
        } else {
            first_of_name.insert(name, variant);
        }
        if name.chars().any(char::is_control) {
            errors.push(SpecError::VariantNameControl { variant });
        }
        let Some(grant) = &declared.grant else { continue };
        if grant.units == 0 {
            errors.push(SpecError::GrantZero { variant });
        }
        if let Err(error) = Frame::new(&grant.effect) {
            errors.push(SpecError::EffectTooLong { variant, length: error.length });
        }
    }
}

/// The part of a [`Spec`] at which an error lies; variants are counted from 0. A lineage or salt that is absent stands
/// for the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// [`Spec::id`].
    Id,
    /// [`Spec::namespace`].
    Namespace,
    /// [`Spec::lineage`].
    Lineage,
    /// [`Spec::version`], which no rule restricts.
    Version,
    /// The secret in [`Spec::hash`].
    Secret,
    /// [`Spec::salt`].
    Salt,
    /// [`Spec::coverage_ppm`].
    Coverage,
    /// [`Spec::variants`] as a whole.
    Variants,
    /// [`VariantSpec::name`] of this variant.
    VariantName(usize),
    /// [`VariantSpec::weight`] of this variant.
    VariantWeight(usize),
    /// [`GrantSpec::units`] of this variant.
    VariantGrant(usize),
    /// [`GrantSpec::effect`] of this variant.
    VariantEffect(usize),
}

/// A broken rule of a [`Spec`]: its text tells the cause, [`SpecError::remedy`] what to do. Fields called `variant` or
/// `first` are positions counted from 0; the texts count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SpecError {
    /// The id is empty, and with it the default of lineage and salt.
    #[error("the experiment's id is empty")]
    IdEmpty,
    /// The namespace is empty, so staging and production could share grant ids.
    #[error("the namespace is empty")]
    NamespaceEmpty,
    /// The namespace contains a `/`, so another namespace and lineage could read the same.
    #[error("the namespace contains a `/`")]
    NamespaceSlash,
    /// Namespace, `/` and lineage do not fit into the grant id's frame.
    #[error("namespace, `/` and lineage have {length} bytes together, at most 255 fit")]
    LineageTooLong {
        /// Their length in bytes.
        length: usize,
    },
    /// The secret is empty, which would be a key that everyone knows.
    #[error("the secret of hmac-sha256-v1 is empty")]
    SecretEmpty,
    /// The salt does not fit into its frame.
    #[error("the salt has {length} bytes, at most 255 fit")]
    SaltTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The coverage is more than everyone.
    #[error("the coverage is {coverage_ppm} parts per million, at most 1000000 are possible")]
    CoverageTooLarge {
        /// The declared coverage in parts per million.
        coverage_ppm: u32,
    },
    /// There are fewer than 2 variants or more than 255.
    #[error("the number of variants is {count}, it must be 2 to 255")]
    VariantCount {
        /// The declared number.
        count: usize,
    },
    /// No variant has a positive weight.
    #[error("the weights add up to 0")]
    WeightsZero,
    /// The weights add up to 2^32 or more.
    #[error("the weights up to variant {} add up to more than 4294967295", .variant + 1)]
    WeightsTooLarge {
        /// The first variant at which the running sum is too large.
        variant: usize,
    },
    /// A variant's name is empty.
    #[error("the name of variant {} is empty", .variant + 1)]
    VariantNameEmpty {
        /// The variant.
        variant: usize,
    },
    /// Two variants have the same name, so records could not tell them apart.
    #[error("variant {} has the same name as variant {}", .variant + 1, .first + 1)]
    VariantNameTaken {
        /// The later variant.
        variant: usize,
        /// The first one of that name.
        first: usize,
    },
    /// A variant's name contains a control character, which would garble reports.
    #[error("the name of variant {} contains a control character", .variant + 1)]
    VariantNameControl {
        /// The variant.
        variant: usize,
    },
    /// A treatment grants nothing.
    #[error("the grant of variant {} is 0 units", .variant + 1)]
    GrantZero {
        /// The variant.
        variant: usize,
    },
    /// An effect does not fit into the grant id's frame.
    #[error("the effect of variant {} has {length} bytes, at most 255 fit", .variant + 1)]
    EffectTooLong {
        /// The variant.
        variant: usize,
        /// The effect's length in bytes.
        length: usize,
    },
}

impl SpecError {
    /// The part of the spec to correct.
    pub const fn field(&self) -> Field {
        match *self {
            Self::IdEmpty => Field::Id,
            Self::NamespaceEmpty | Self::NamespaceSlash => Field::Namespace,
            Self::LineageTooLong { length: _ } => Field::Lineage,
            Self::SecretEmpty => Field::Secret,
            Self::SaltTooLong { length: _ } => Field::Salt,
            Self::CoverageTooLarge { coverage_ppm: _ } => Field::Coverage,
            Self::VariantCount { count: _ } | Self::WeightsZero => Field::Variants,
            Self::WeightsTooLarge { variant } => Field::VariantWeight(variant),
            Self::VariantNameEmpty { variant }
            | Self::VariantNameTaken { variant, first: _ }
            | Self::VariantNameControl { variant } => Field::VariantName(variant),
            Self::GrantZero { variant } => Field::VariantGrant(variant),
            Self::EffectTooLong { variant, length: _ } => Field::VariantEffect(variant),
        }
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::IdEmpty => "name the experiment",
            Self::NamespaceEmpty => "name the deployment, such as \"production\" or \"staging\"",
            Self::NamespaceSlash => "use another character, such as `-`; the lineage may contain a `/`",
            Self::LineageTooLong { length: _ } => {
                "declare a shorter lineage or namespace, but never change that of an experiment with exposed users"
            }
            Self::SecretEmpty => "give a random secret, best of 32 bytes, and keep it for the lineage's life",
            Self::SaltTooLong { length: _ } => "declare a shorter salt",
            Self::CoverageTooLarge { coverage_ppm: _ } => "declare a share of at most 1000000 parts per million",
            Self::VariantCount { count: _ } => "declare at least a control and a treatment, and at most 255 variants",
            Self::WeightsZero => "give at least one variant a positive weight",
            Self::WeightsTooLarge { variant: _ } => "divide all weights by a common factor, only their ratios count",
            Self::VariantNameEmpty { variant: _ } => "name the variant, such as \"control\"",
            Self::VariantNameTaken { variant: _, first: _ } => "give each variant a name of its own",
            Self::VariantNameControl { variant: _ } => "leave out line breaks, tabs and the like",
            Self::GrantZero { variant: _ } => "grant at least 1 unit, or leave the grant out to make it a control",
            Self::EffectTooLong { variant: _, length: _ } => "declare a shorter effect",
        }
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
    fn a_secret_is_not_printed() {
        let hash = HashSpec::HmacSha256V1 { secret: b"hush".to_vec() };
        let spec = Spec { hash, ..spec() };
        let text = format!("{spec:?} {:?}", Experiment::new(spec.clone()).unwrap());
        let bytes = format!("{:?}", b"hush");
        assert!(!text.contains("hush") && !text.contains(&bytes) && text.contains("HmacSha256V1 { .. }"), "{text}");
    }
}
