//! What makes a [`Spec`] permitted.
//!
//! Owns the rules, the field that each is about, and their texts. All broken rules come out at once, in the order of the
//! spec's fields. Tests: `super::tests`.

use std::collections::BTreeMap;

use super::Experiment;
use super::spec::{HashSpec, Spec, VariantSpec};
use crate::assignment::{Frame, Hasher, InvalidWeights, Weights};

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
    /// [`Spec::version`].
    Version,
    /// The mode of [`Spec::hash`].
    Hash,
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
    /// [`GrantSpec::units`](super::GrantSpec::units) of this variant.
    VariantGrant(usize),
    /// [`GrantSpec::effect`](super::GrantSpec::effect) of this variant.
    VariantEffect(usize),
    /// [`Spec::generation`].
    Generation,
    /// [`Spec::exposed`].
    Exposed,
    /// [`Spec::operations`].
    Operations,
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

/// Checks what names the experiment.
pub(super) fn check_names(spec: &Spec) -> Vec<SpecError> {
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
pub(super) fn prepare_hasher(spec: &Spec, framed_lineage: &str, errors: &mut Vec<SpecError>) -> Option<Hasher> {
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
pub(super) fn prepare_weights(variants: &[VariantSpec], errors: &mut Vec<SpecError>) -> Option<Weights> {
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
pub(super) fn check_variants(variants: &[VariantSpec], errors: &mut Vec<SpecError>) {
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
