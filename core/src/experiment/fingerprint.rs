//! What stands for a lineage and for a version in the store, without telling the secret.

use sha2::{Digest, Sha256};

use super::Experiment;
use crate::assignment::{Frame, UserId};
use crate::store::{LineageId, VersionId};

impl Experiment {
    /// Stands for namespace, lineage, hash mode and secret: with another of these, every grant would have another id.
    ///
    /// It is the id of a grant that no effect can have, so it is keyed where grant ids are.
    pub fn lineage_id(&self) -> LineageId {
        let effect = Frame::new("").expect("an empty text is short enough");
        let user = UserId::new(b"lineage").expect("this is an id");
        LineageId(*self.hasher.grant_id(effect, user).as_bytes())
    }

    /// Stands for what decides about users: salt, coverage, variants with their weights, generation and phase.
    pub fn version_id(&self) -> VersionId {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        text(self.salt());
        for variant in self.variants() {
            text(&variant.name);
            text(variant.grant.as_ref().map_or("", |grant| &grant.effect));
        }
        for variant in self.variants() {
            hash.update(variant.weight.to_be_bytes());
        }
        hash.update(self.coverage_ppm().to_be_bytes());
        hash.update([self.generation(), u8::from(self.blocks_exposed()), u8::from(self.is_ended())]);
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        VersionId(id)
    }
}
