//! The identity of a grant.
//!
//! Owns [`GrantId`], the name of one promised quota increase and the idempotency key of every request for it. It does
//! not know how the id is derived: that is [`crate::assignment::Hasher::grant_id`], the third hash of the algorithm.
//!
//! * `GRANT-1`: at most one applied effect per (namespace/lineage, effect, user). An id is a function of exactly these
//!   and the hash mode with its secret: no version, time, attempt or instance enters it, so every retry, restart and
//!   host names the grant alike.
//!
//! No time and no chance enter. Read next: `tests/assignment/golden_vectors.rs`.

use std::fmt;

use uuid::{Builder, Uuid};

/// The id of one grant, which is also its idempotency key: a version 8 UUID (RFC 9562, section 5.8).
///
/// Ordered by its bytes, which is also the order of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; 16]);

impl GrantId {
    /// The id whose bytes were stored before ([`GrantId::as_bytes`]); they are taken as they are.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id made of the first half of a digest: the version's four bits become 8, the variant's two become `10`.
    pub(crate) const fn from_digest(half: [u8; 16]) -> Self {
        Self(Builder::from_custom_bytes(half).into_uuid().into_bytes())
    }

    /// The 16 bytes in network order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Lower-case hexadecimal with hyphens, as sent in the `Idempotency-Key` header.
impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0), f)
    }
}

/// The same text as [`Display`](fmt::Display).
impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A user as the store numbers them: dense, from 0, in no relation to the id's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserHandle(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_becomes_a_version_8_uuid_and_keeps_its_other_122_bits() {
        assert_eq!(GrantId::from_digest([0x00; 16]).to_string(), "00000000-0000-8000-8000-000000000000");
        assert_eq!(GrantId::from_digest([0xff; 16]).to_string(), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    }

    #[test]
    fn stored_bytes_give_the_same_id_again() {
        let id = GrantId::from_digest([0xa5; 16]);
        assert_eq!(GrantId::from_bytes(*id.as_bytes()), id);
        assert_eq!(format!("{id:?}"), id.to_string());
    }
}
