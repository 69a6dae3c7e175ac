//! The chance of a swarm: for each purpose a stream of its own.
//!
//! A stream is that of the cipher `ChaCha8` (D. Bernstein, "`ChaCha`, a variant of Salsa20", 2008), keyed by the seed and the name of what is
//! drawn. So a new row in a table of faults, or one draw more for a caller, leaves every other choice of that seed as it was,
//! which a single stream could not do; and unlike the keyed draws of a run, a purpose may ask for as many numbers as it
//! likes. Numbers are made of the stream's words here, since the `rand` crate may change its own ways of doing so.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use xxhash_rust::xxh3::xxh3_128;

use crate::scenario::Probability;
use crate::seed::below;

/// All chance of one swarm scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    seed: u64,
}

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream for what is called `purpose`.
    pub(super) fn of(self, purpose: &str) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..24].copy_from_slice(&xxh3_128(purpose.as_bytes()).to_le_bytes());
        Stream(ChaCha8Rng::from_seed(key))
    }
}

/// The draws of one purpose, in order.
#[derive(Clone, Debug)]
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    pub(super) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `low ..= high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + below(self.word(), high.saturating_sub(low).saturating_add(1))
    }

    /// Uniform in `low ..= high`, for counts.
    pub(super) fn count(&mut self, low: u32, high: u32) -> u32 {
        u32::try_from(self.between(low.into(), high.into())).unwrap_or(high)
    }

    /// Uniform in `low ..= high`, by whole milliseconds, so that it can be written down.
    pub(super) fn span(&mut self, low: Duration, high: Duration) -> Duration {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.between(ms(low), ms(high)))
    }

    /// Uniform in `low ..= high` milliseconds.
    pub(super) fn ms(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// True in `percent` of one hundred cases.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of several, all alike.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        const { assert!(N > 0) };
        let index = self.between(0, N as u64 - 1);
        of[usize::try_from(index).expect("an index of an array")]
    }

    /// A probability between two percentages.
    pub(super) fn percent(&mut self, low: u32, high: u32) -> Probability {
        Probability::from_ppm(self.count(low, high) * 10_000).unwrap_or(Probability::ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_the_seed_and_on_what_it_is_for() {
        let first = |seed, purpose| Chance::new(seed).of(purpose).word();
        assert_eq!(first(1, "fleet"), first(1, "fleet"));
        assert_ne!(first(1, "fleet"), first(2, "fleet"));
        assert_ne!(first(1, "fleet"), first(1, "caller"));
    }

    /// So that a swarm seed of a bug report means the same in every version.
    #[test]
    fn the_streams_are_as_they_always_were() {
        let mut stream = Chance::new(7).of("fleet");
        assert_eq!([stream.between(0, 999), stream.between(0, 999), stream.between(0, 999)], [739, 136, 171]);
    }
}
