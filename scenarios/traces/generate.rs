//! Writes the traces of this folder: `cargo run --release -p hookproof-sim --example generate_trace -- bursty`.
//!
//! A trace is Poisson counts by the second, whose rate is the mean times three independent factors of mean 1: one drawn for each
//! minute, one for each ten seconds, one for each second. Averaged over a window, a factor of variance v that is constant within
//! the window multiplies the second moment of the rate by 1 + v, one that is drawn k times within it by 1 + v ÷ k. So the three
//! variances follow from the dispersion (variance ÷ mean of the counts) that is wanted over 1, 10 and 60 seconds:
//!
//! ```text
//! D(1)  = 1 +  1 · m · [(1+a)(1+b)(1+c) − 1]
//! D(10) = 1 + 10 · m · [(1+a)(1+b)(1+c÷10) − 1]
//! D(60) = 1 + 60 · m · [(1+a)(1 + ((1+b)(1+c÷10) − 1) ÷ 6) − 1]
//! ```
//!
//! One hour is a small sample of a bursty process, so its own dispersion scatters around that. The seed is the first one, from
//! 0, with which all three figures, and the mean, lie within [`TOLERANCE`] of what is wanted.

use std::fmt::Write as _;

use hookproof_sim::seed::{Concern, Draws, exponential, gamma};

/// Seconds of a trace.
const SECONDS: u64 = 3_600;

/// How far a figure may lie off what is wanted, as a share of it.
pub const TOLERANCE: f64 = 0.05;

/// Which trace is written, and what it is like.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The file's name without its ending.
    pub name: &'static str,
    /// Mean arrivals a second.
    pub mean: f64,
    /// Dispersion of the counts over 1, 10 and 60 seconds.
    pub dispersion: [f64; 3],
    ten_seconds: Ten,
}

/// How the factor of ten seconds is distributed.
#[derive(Clone, Copy, Debug)]
enum Ten {
    /// Gamma.
    Smooth,
    /// Nothing, or one value.
    OnOff,
}

/// The traces of this folder.
pub const MODELS: [Model; 2] = [
    Model { name: "bursty", mean: 2.566, dispersion: [13.20, 73.65, 164.1], ten_seconds: Ten::OnOff },
    Model { name: "drifting", mean: 5.528, dispersion: [1.33, 3.84, 16.1], ten_seconds: Ten::Smooth },
];

/// Population variance divided by mean of the counts, over whole blocks of `seconds` from the start.
pub fn dispersion(counts: &[u32], seconds: usize) -> f64 {
    let blocks: Vec<f64> =
        counts.chunks_exact(seconds).map(|block| block.iter().map(|n| f64::from(*n)).sum()).collect();
    let mean = blocks.iter().sum::<f64>() / blocks.len() as f64;
    blocks.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / blocks.len() as f64 / mean
}

/// Mean of the counts.
pub fn mean(counts: &[u32]) -> f64 {
    counts.iter().map(|n| f64::from(*n)).sum::<f64>() / counts.len() as f64
}

/// Whether counts are as a model wants them.
pub fn fits(counts: &[u32], model: &Model) -> bool {
    let near = |value: f64, wanted: f64| (value - wanted).abs() <= TOLERANCE * wanted;
    let windows = [1, 10, 60].into_iter().zip(model.dispersion);
    near(mean(counts), model.mean)
        && windows.into_iter().all(|(seconds, wanted)| near(dispersion(counts, seconds), wanted))
}

/// Variances of the factors of a minute, of ten seconds and of a second, from the three equations above.
fn variances(model: &Model) -> [f64; 3] {
    let moment = |index: usize, seconds: f64| 1.0 + (model.dispersion[index] - 1.0) / (seconds * model.mean);
    let (one, ten, sixty) = (moment(0, 1.0), moment(1, 10.0), moment(2, 60.0));
    let minute = (6.0 * sixty - ten) / 5.0;
    // u · (1 + c) and u · (1 + c ÷ 10), with u = 1 + b.
    let (full, tenth) = (one / minute, ten / minute);
    let product = (full - tenth) / 0.9;
    let u = full - product;
    [minute - 1.0, u - 1.0, product / u]
}

/// The counts of a model under a seed.
fn counts(model: &Model, seed: u64) -> Vec<u32> {
    let draws = Draws::new(seed);
    let [minute, ten, one] = variances(model);
    let factor = |variance: f64, who: u64| gamma(1.0 / variance, |k| draws.draw(Concern::VisitRate, who, k));
    let ten_seconds = |block: u64| match model.ten_seconds {
        Ten::Smooth => factor(ten, 1 << 32 | block),
        Ten::OnOff => {
            let [coin, _] = draws.draw(Concern::VisitRate, 1 << 32 | block, 0);
            let share = 1.0 / (1.0 + ten);
            if (coin as f64) < share * 2_f64.powi(64) { 1.0 / share } else { 0.0 }
        }
    };
    let count = |second: u64| {
        let rate = model.mean * factor(minute, second / 60) * ten_seconds(second / 10) * factor(one, 2 << 32 | second);
        let gaps = (0..).map(|n| exponential(draws.draw(Concern::Arrival, second, n)[0]));
        let passed = gaps.scan(0.0, |at, gap| {
            *at += gap;
            (*at < rate).then_some(())
        });
        u32::try_from(passed.count()).expect("rates are small")
    };
    (0..SECONDS).map(count).collect()
}

/// Seeds that are tried; the committed traces took far fewer.
const SEEDS_MAX: u64 = 100_000;

/// The file of a model.
pub fn csv(model: &Model) -> String {
    let counts = (0..SEEDS_MAX).map(|seed| counts(model, seed)).find(|counts| fits(counts, model));
    let mut text = String::from("offset_s,arrivals\n");
    for (second, count) in counts.expect("some seed fits the model").into_iter().enumerate() {
        let _ = writeln!(text, "{second},{count}");
    }
    text
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match MODELS.iter().find(|model| model.name == name) {
        Some(model) => print!("{}", csv(model)),
        None => eprintln!("name a trace: {}", MODELS.map(|model| model.name).join(" or ")),
    }
}
