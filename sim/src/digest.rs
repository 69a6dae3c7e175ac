//! The rolling digest of a run's semantic events: two equal runs have equal digests on every machine.
//!
//! XXH3-128 over fixed little-endian words. It is no signature; it tells apart runs that differ by accident.

use hookproof_core::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// What a semantic event is; the discriminants are part of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A visit was answered.
    Visit = 1,
    /// An exposure was recorded.
    Exposure = 2,
    /// A request was sent.
    Call = 3,
    /// An attempt ended for its hook.
    Answer = 4,
    /// The ledger moved.
    Effect = 5,
    /// A grant was settled.
    Settled = 6,
    /// A process started.
    Start = 7,
    /// A process ended.
    Stop = 8,
}

/// The digest.
#[derive(Clone, Default)]
pub struct Digest {
    state: Xxh3,
    is_off: bool,
}

impl Digest {
    /// A digest of nothing, whatever happens.
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// Takes one event: what, when, who, and two words of its own.
    pub fn event(&mut self, kind: Kind, at: Instant, who: u64, what: u64) {
        if self.is_off {
            return;
        }
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&at.as_nanos().to_le_bytes());
        bytes[8..16].copy_from_slice(&who.to_le_bytes());
        bytes[16..].copy_from_slice(&(what << 8 | kind as u64).to_le_bytes());
        self.state.update(&bytes);
    }

    /// The digest so far.
    pub fn value(&self) -> u128 {
        self.state.digest128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_depends_on_every_part_and_on_the_order() {
        let of = |events: &[(Kind, u64, u64, u64)]| {
            let mut digest = Digest::default();
            for (kind, at, who, what) in events {
                digest.event(*kind, Instant::from_nanos(*at), *who, *what);
            }
            digest.value()
        };
        let base = of(&[(Kind::Call, 1, 2, 3), (Kind::Effect, 1, 2, 3)]);
        assert_eq!(base, of(&[(Kind::Call, 1, 2, 3), (Kind::Effect, 1, 2, 3)]));
        assert_ne!(base, of(&[(Kind::Effect, 1, 2, 3), (Kind::Call, 1, 2, 3)]));
        assert_ne!(base, of(&[(Kind::Call, 2, 2, 3), (Kind::Effect, 1, 2, 3)]));
        assert_ne!(base, of(&[(Kind::Call, 1, 3, 3), (Kind::Effect, 1, 2, 3)]));
        assert_ne!(base, of(&[(Kind::Call, 1, 2, 4), (Kind::Effect, 1, 2, 3)]));
    }
}
