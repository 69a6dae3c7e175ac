//! Chance: one seed, and draws that are keyed by what they are for.
//!
//! Owns the generator and the list of concerns. A draw is a pure function of (seed, concern, who, which), never "the next
//! number", so removing a fault or running another hook leaves every other draw as it was.
//!
//! The generator is Philox4x32-10 (J. Salmon and others, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), checked
//! against its published known answers. Real-valued draws use the `libm` crate, since a platform's own `ln` may differ in
//! the last bit and a digest must not.

use std::time::Duration;

use crate::scenario::Latency;

/// What a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Concern {
    /// A user's own rate of visits.
    VisitRate,
    /// The gap before a user's next visit, or a traffic's next arrival.
    Arrival,
    /// Which user an open arrival is.
    ArrivalUser,
    /// Which instance a try goes to.
    Route,
    /// The caller's pause, and whether it gives up.
    Caller,
    /// What a hook is given with a visit.
    Visit,
    /// What a hook is given with an answer.
    Answer,
    /// What a hook is given with a reply of the store.
    Stored,
    /// What a process is given when it starts.
    Process,
    /// The time a worker needs.
    Service,
    /// The store's latency.
    Store,
    /// Whether a fault touches an opportunity.
    Fault,
    /// How late a reordered request arrives.
    Reorder,
    /// When and how hard a hazard of the promise matrix strikes.
    Promise,
    /// A user's outcome, for the estimate of the lift.
    Outcome,
    /// When a fault starts that the seed places.
    Placement,
}

/// All chance of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The draws of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The same bits as [`Draws::draw`]'s, not drawn yet.
    pub const fn chance(self, concern: Concern, who: u64, which: u64) -> Chance {
        Chance { draws: self, concern, who, which }
    }

    /// 128 bits for one purpose: `who` and `which` name it within its concern.
    #[expect(clippy::cast_possible_truncation, reason = "the words of a counter")]
    #[inline]
    pub fn draw(self, concern: Concern, who: u64, which: u64) -> [u64; 2] {
        let high = (which >> 32) as u32;
        debug_assert!(high < 1 << 24, "the upper word of `which` shares a counter word with the concern");
        let counter = [which as u32, who as u32, (who >> 32) as u32, (concern as u32) << 24 | high];
        let [a, b, c, d] = philox4x32_10(counter, [self.seed as u32, (self.seed >> 32) as u32]);
        [u64::from(a) << 32 | u64::from(b), u64::from(c) << 32 | u64::from(d)]
    }
}

/// A draw that is made when it is asked for: most of what a hook may draw it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    draws: Draws,
    concern: Concern,
    who: u64,
    which: u64,
}

impl Chance {
    /// The 128 bits.
    pub fn bits(self) -> [u64; 2] {
        self.draws.draw(self.concern, self.who, self.which)
    }
}

/// The block function.
#[expect(clippy::cast_possible_truncation, reason = "the two halves of a product")]
const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    // Single words, because the compiler shuffles arrays in vector registers, which takes longer.
    let ([mut a, mut b, mut c, mut d], [mut key_a, mut key_c]) = (counter, key);
    let mut round = 0;
    while round < 10 {
        let product_a = a as u64 * 0xD251_1F53;
        let product_c = c as u64 * 0xCD9E_8D57;
        a = (product_c >> 32) as u32 ^ b ^ key_a;
        c = (product_a >> 32) as u32 ^ d ^ key_c;
        (b, d) = (product_c as u32, product_a as u32);
        (key_a, key_c) = (key_a.wrapping_add(0x9E37_79B9), key_c.wrapping_add(0xBB67_AE85));
        round += 1;
    }
    [a, b, c, d]
}

/// Uniform in `0 .. n`; the bias is below n ÷ 2⁶⁴.
pub fn below(draw: u64, n: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(n)) >> 64).expect("below n")
}

/// Uniform in the open interval (0, 1), with 52 bits.
pub(crate) fn unit(draw: u64) -> f64 {
    ((draw >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// Exponential with mean 1.
pub fn exponential(draw: u64) -> f64 {
    -libm::log(unit(draw))
}

/// Standard normal, by the method of G. Box and M. Muller, 1958.
pub fn normal(draws: [u64; 2]) -> f64 {
    libm::sqrt(2.0 * exponential(draws[0])) * libm::cos(2.0 * core::f64::consts::PI * unit(draws[1]))
}

/// Gamma with mean 1 and this shape, by the method of G. Marsaglia and W. Tsang, 2000; below shape 1 with their boost.
/// `draws` gives fresh bits for each n.
pub fn gamma(shape: f64, mut draws: impl FnMut(u64) -> [u64; 2]) -> f64 {
    let boosted = if shape < 1.0 { shape + 1.0 } else { shape };
    let d = boosted - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    let mut round = 0;
    let value = loop {
        let x = normal(draws(2 * round));
        let cubed = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
        let limit = unit(draws(2 * round + 1)[0]);
        round += 1;
        if cubed > 0.0 && libm::log(limit) < 0.5 * x * x + d - d * cubed + d * libm::log(cubed) {
            break d * cubed;
        }
    };
    let boost = if shape < 1.0 { libm::pow(unit(draws(2 * round)[0]), 1.0 / shape) } else { 1.0 };
    value * boost / shape
}

/// A duration drawn from a distribution; a constant asks for no draw.
pub fn latency(distribution: Latency, draws: impl FnOnce() -> [u64; 2]) -> Duration {
    match distribution {
        Latency::Constant(duration) => duration,
        Latency::Exponential { mean } => scale(mean, exponential(draws()[0])),
        Latency::Lognormal { p50, p99 } => {
            // The 99th percentile of the standard normal.
            const Z99: f64 = 2.326_347_874_040_841;
            let sigma = libm::log(p99.as_nanos() as f64 / (p50.as_nanos() as f64).max(1.0)) / Z99;
            scale(p50, libm::exp(sigma * normal(draws())))
        }
    }
}

/// `duration` times `factor`, to the nanosecond, at most 584 years.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from f64 saturates, as is wanted")]
pub fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::from_nanos((duration.as_nanos() as f64 * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_its_published_known_answers() {
        for (counter, key, answer) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox4x32_10(counter, key), answer);
        }
    }

    #[test]
    fn a_draw_depends_on_all_of_its_key() {
        let draw = Draws::new(1).draw(Concern::Route, 2, 3);
        assert_eq!(draw, Draws::new(1).draw(Concern::Route, 2, 3));
        assert_ne!(draw, Draws::new(2).draw(Concern::Route, 2, 3));
        assert_ne!(draw, Draws::new(1).draw(Concern::Caller, 2, 3));
        assert_ne!(draw, Draws::new(1).draw(Concern::Route, 3, 3));
        assert_ne!(draw, Draws::new(1).draw(Concern::Route, 2, 4));
        assert_ne!(draw, Draws::new(1).draw(Concern::Route, 2, 3 | 1 << 40));
    }

    fn moments(n: u64, mut value: impl FnMut(u64) -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..n).map(&mut value).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64)
    }

    /// Standard error of a mean of 100,000 at variance 1 is 0.003; five of them are allowed.
    #[test]
    fn distributions_have_their_mean_and_variance() {
        let draws = Draws::new(9);
        let word = |n| draws.draw(Concern::Service, 0, n);
        let (mean, variance) = moments(100_000, |n| exponential(word(n)[0]));
        assert!((mean - 1.0).abs() < 0.016 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let (mean, variance) = moments(100_000, |n| normal(word(n)));
        assert!(mean.abs() < 0.016 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        for shape in [0.5, 1.0, 8.0] {
            let (mean, variance) = moments(100_000, |n| gamma(shape, |k| draws.draw(Concern::VisitRate, n, k)));
            assert!((mean - 1.0).abs() < 0.025 && (variance * shape - 1.0).abs() < 0.1, "{shape} {mean} {variance}");
        }
    }

    #[test]
    fn a_lognormal_goes_through_its_quantiles() {
        let distribution = Latency::Lognormal { p50: Duration::from_millis(1), p99: Duration::from_millis(8) };
        let draws = Draws::new(3);
        let mut values: Vec<_> =
            (0..100_000).map(|n| latency(distribution, || draws.draw(Concern::Store, 0, n))).collect();
        values.sort_unstable();
        for bound in [1, 2, 8].map(Duration::from_millis) {
            let beyond = values.iter().filter(|value| **value > bound).count() as f64 / 100_000.0;
            assert!((distribution.share_beyond(bound) - beyond).abs() < 0.005, "{bound:?} {beyond}");
        }
        let (p50, p99) = (values[50_000].as_secs_f64() * 1e3, values[99_000].as_secs_f64() * 1e3);
        assert!((p50 - 1.0).abs() < 0.03 && (p99 - 8.0).abs() < 0.6, "{p50} {p99}");
    }
}
