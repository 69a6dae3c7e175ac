//! How users stand in logs.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

/// The least length of a key, in bytes.
const KEY_LENGTH_MIN: usize = 16;
/// Bytes of the keyed hash that a pseudonym shows.
const BYTES: usize = 6;

/// How users stand in logs.
#[derive(Clone)]
pub enum Shown {
    /// By their ids.
    Ids,
    /// By pseudonyms of the form that reports have, `user:3f9a1c0b2d4e`: under the same key the same ones.
    Pseudonyms(PseudonymKey),
}

/// The key of pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey(Hmac<Sha256>);

/// Give it 16 bytes or more, such as `openssl rand -hex 32` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key of fewer than {KEY_LENGTH_MIN} bytes is soon guessed")]
pub struct KeyTooShort;

impl Shown {
    /// Pseudonyms under `key`.
    ///
    /// # Errors
    /// The key has fewer than 16 bytes.
    pub fn pseudonyms(key: &[u8]) -> Result<Self, KeyTooShort> {
        if key.len() < KEY_LENGTH_MIN {
            return Err(KeyTooShort);
        }
        let hmac = Hmac::new_from_slice(key).expect("HMAC takes keys of any length");
        Ok(Self::Pseudonyms(PseudonymKey(hmac)))
    }

    /// Pseudonyms that nobody can join with another process's.
    pub fn for_this_process() -> Self {
        Self::pseudonyms(&rand::random::<[u8; 32]>()).expect("32 bytes are enough")
    }

    /// What the user with the id `id` is called.
    pub(super) fn name(&self, id: &str) -> String {
        match self {
            Self::Ids => id.to_owned(),
            Self::Pseudonyms(PseudonymKey(hmac)) => {
                let hash = hmac.clone().chain_update("user").chain_update([0]).chain_update(id).finalize().into_bytes();
                format!("user:{}", hex::encode(&hash[..BYTES]))
            }
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids => f.write_str("Ids"),
            Self::Pseudonyms(_) => f.debug_tuple("Pseudonyms").finish_non_exhaustive(),
        }
    }
}
