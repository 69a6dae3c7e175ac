//! Two measurements side by side: the ratio of their times, in one process and in turns.
//!
//! A machine's speed drifts while a benchmark runs, and neighbours come and go. Rounds of A and B in turns see nearly the
//! same machine, so their ratio is steadier than either time, and the median passes over the rounds in which a neighbour
//! interfered with one of them only. Time is what the thread had of the processor, not what the wall clock says: a
//! neighbour that takes the processor away costs neither side anything.

use std::time::Duration;

use cpu_time::ThreadTime;

/// The medians over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Processor seconds of one round of A.
    pub a_seconds: f64,
    /// Processor seconds of one round of B.
    pub b_seconds: f64,
    /// Seconds of A ÷ seconds of B, of the same round.
    pub a_to_b: f64,
}

/// Runs A and B in turns, `rounds` times each, after one of each that does not count.
pub fn in_turns(rounds: u32, mut a: impl FnMut(), mut b: impl FnMut()) -> Paired {
    let (_, _) = (seconds(&mut a), seconds(&mut b));
    let pairs: Vec<(f64, f64)> = (0..rounds).map(|_| (seconds(&mut a), seconds(&mut b))).collect();
    Paired {
        a_seconds: median(pairs.iter().map(|(a, _)| *a).collect()),
        b_seconds: median(pairs.iter().map(|(_, b)| *b).collect()),
        a_to_b: median(pairs.iter().map(|(a, b)| a / b).collect()),
    }
}

/// The processor seconds that one call takes of its thread.
pub fn seconds(work: &mut impl FnMut()) -> f64 {
    let start = ThreadTime::now();
    work();
    // No clock reads zero for work that a ratio is asked of.
    start.elapsed().max(Duration::from_nanos(1)).as_secs_f64()
}

/// The middle value, the upper one of an even number.
///
/// # Panics
/// Without any value there is no middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_passes_over_outliers() {
        assert_eq!(median(vec![900.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
    }

    #[test]
    fn each_side_runs_once_a_round_and_once_before() {
        let (mut a, mut b) = (0, 0);
        in_turns(3, || a += 1, || b += 1);
        assert_eq!((a, b), (4, 4));
    }
}
