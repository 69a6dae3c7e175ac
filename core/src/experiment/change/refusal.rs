//! What no change may be, each with its cause and remedy.
//!
//! Owns [`Refusal`] and its rules. They come down to three: a user never gets a second grant id, a record never means
//! something else, and a generation tells what was recorded before a reshuffle or block from what came after.

use super::super::{Experiment, Field};
use super::content;

/// Why a version must not follow another. Fields called `variant` are positions counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The namespace is hashed into grant ids.
    #[error("the namespace changes, which would give every grant another id: users could get theirs twice")]
    Namespace,
    /// The lineage is hashed into grant ids.
    #[error("the lineage changes, which would give every grant another id: users could get theirs twice")]
    Lineage,
    /// Exposures are recorded with the version's text, which must say what they saw.
    #[error("the content changes and the version is still `{version}`")]
    Version {
        /// The version of both.
        version: String,
    },
    /// The hash makes grant ids.
    #[error("the hash changes, which would give every grant another id: users could get theirs twice")]
    Hash,
    /// The secret is hashed into grant ids.
    #[error("the secret changes, which would give every grant another id: users could get theirs twice")]
    Secret,
    /// Records name variants by their position.
    #[error("the variant `{name}` is no longer number {}, and records name it by its number", .variant + 1)]
    VariantMoved {
        /// Its old position.
        variant: usize,
        /// Its old name.
        name: String,
        /// Whether its position is still there, with another name.
        is_taken: bool,
    },
    /// A recorded control was promised nothing; a recorded treatment holds what it was promised.
    #[error("the variant `{name}` turns from a {}", if *.was_control { "control into a treatment" } else { "treatment into a control" })]
    VariantTurned {
        /// The variant.
        variant: usize,
        /// Its name.
        name: String,
        /// Whether it was a control.
        was_control: bool,
    },
    /// The effect is hashed into grant ids.
    #[error("the effect of the variant `{name}` changes, which would give its grants another id")]
    Effect {
        /// The variant.
        variant: usize,
        /// Its name.
        name: String,
    },
    /// A generation that was used before could not be told from the one to come.
    #[error("the generation goes back from {from} to {to}")]
    GenerationLowered {
        /// The old one.
        from: u8,
        /// The new one.
        to: u8,
    },
    /// Without another generation, no later version could tell those drawn before the reshuffle from those after it.
    #[error("the salt changes, which reshuffles, and the generation is still {generation}")]
    ReshuffleWithoutGeneration {
        /// The generation of both.
        generation: u8,
    },
    /// Nothing happens that a generation could mark.
    #[error("the generation rises from {from} to {to}, and nothing is reshuffled or blocked")]
    GenerationWithoutCause {
        /// The old one.
        from: u8,
        /// The new one.
        to: u8,
    },
    /// Whom the version before exposed would have the same generation and would not be blocked.
    #[error("exposed users are to be blocked, and the generation is still {generation}")]
    BlockWithoutGeneration {
        /// The generation of both.
        generation: u8,
    },
    /// Blocked users would meet their variant again after a time with the baseline.
    #[error("the block of exposed users is lifted")]
    BlockLifted,
}

impl Refusal {
    /// The part of the new spec to correct.
    pub const fn field(&self) -> Field {
        match *self {
            Self::Namespace => Field::Namespace,
            Self::Lineage => Field::Lineage,
            Self::Version { version: _ } => Field::Version,
            Self::Hash => Field::Hash,
            Self::Secret => Field::Secret,
            Self::VariantMoved { variant, name: _, is_taken: true } => Field::VariantName(variant),
            Self::VariantMoved { variant: _, name: _, is_taken: false } => Field::Variants,
            Self::VariantTurned { variant, name: _, was_control: _ } => Field::VariantGrant(variant),
            Self::Effect { variant, name: _ } => Field::VariantEffect(variant),
            Self::GenerationLowered { from: _, to: _ } | Self::GenerationWithoutCause { from: _, to: _ } => {
                Field::Generation
            }
            Self::ReshuffleWithoutGeneration { generation: _ } => Field::Salt,
            Self::BlockWithoutGeneration { generation: _ } | Self::BlockLifted => Field::Exposed,
        }
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Namespace | Self::Lineage => "keep it; a new experiment beside this one has its own lineage",
            Self::Version { version: _ } => "give it a version that was not used before",
            Self::Hash | Self::Secret => "keep hash and secret for the lineage's life",
            Self::VariantMoved { variant: _, name: _, is_taken: _ } => {
                "keep the variants in their order, with weight 0 if nobody shall get one, and add others at the end"
            }
            Self::VariantTurned { variant: _, name: _, was_control: _ } | Self::Effect { variant: _, name: _ } => {
                "add another variant at the end, and give this one weight 0"
            }
            Self::GenerationLowered { from: _, to: _ } => "keep the generation, or raise it with a reshuffle or block",
            Self::ReshuffleWithoutGeneration { generation: _ } => {
                "raise `generation` if a reshuffle is meant; keep the salt if not"
            }
            Self::GenerationWithoutCause { from: _, to: _ } => {
                "keep the generation, or change the salt (reshuffle) or set `exposed` to block"
            }
            Self::BlockWithoutGeneration { generation: _ } => "raise `generation` as well",
            Self::BlockLifted => "keep the block; users who met the baseline meanwhile are no clean group any more",
        }
    }
}

/// All reasons against `new` after `old`.
pub(super) fn of(old: &Experiment, new: &Experiment) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |applies: bool, refusal: Refusal| {
        if applies {
            refusals.push(refusal);
        }
    };
    refuse(old.namespace() != new.namespace(), Refusal::Namespace);
    refuse(old.lineage() != new.lineage(), Refusal::Lineage);
    let is_same_version = old.version() == new.version();
    refuse(is_same_version && content(old) != content(new), Refusal::Version { version: new.version().to_owned() });
    let is_same_mode = old.mode() == new.mode();
    refuse(!is_same_mode, Refusal::Hash);
    refuse(is_same_mode && old.spec().hash != new.spec().hash, Refusal::Secret);
    refusals.extend(of_variants(old, new));
    refusals.extend(of_generation(old, new));
    refusals
}

/// The first variant that moved, or all that mean something else.
fn of_variants(old: &Experiment, new: &Experiment) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (variant, before) in old.variants().iter().enumerate() {
        let name = || before.name.clone();
        let after = match new.variants().get(variant) {
            Some(after) if after.name == before.name => after,
            after => return vec![Refusal::VariantMoved { variant, name: name(), is_taken: after.is_some() }],
        };
        match (&before.grant, &after.grant) {
            (None, None) => {}
            (Some(before), Some(after)) if before.effect == after.effect => {}
            (Some(_), Some(_)) => refusals.push(Refusal::Effect { variant, name: name() }),
            (before, _) => {
                refusals.push(Refusal::VariantTurned { variant, name: name(), was_control: before.is_none() });
            }
        }
    }
    refusals
}

/// What is wrong with the generation and the block.
fn of_generation(old: &Experiment, new: &Experiment) -> Vec<Refusal> {
    let (from, to) = (old.generation(), new.generation());
    let (is_reshuffled, is_blocked) = (old.salt() != new.salt(), new.blocks_exposed());
    let mut refusals = Vec::new();
    if to < from {
        refusals.push(Refusal::GenerationLowered { from, to });
    } else if to == from {
        if is_reshuffled {
            refusals.push(Refusal::ReshuffleWithoutGeneration { generation: to });
        }
        if is_blocked && !old.blocks_exposed() {
            refusals.push(Refusal::BlockWithoutGeneration { generation: to });
        }
    } else if !is_reshuffled && !is_blocked {
        refusals.push(Refusal::GenerationWithoutCause { from, to });
    }
    // In generation 0 there is nobody whom a block could have touched.
    if old.blocks_exposed() && from > 0 && !is_blocked {
        refusals.push(Refusal::BlockLifted);
    }
    refusals
}
