//! Work on all cores, with results in the order of the work.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// As many threads as were asked for, else as the machine can run.
pub(crate) fn jobs(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    asked.unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

/// Does `work` for every index below `count` on at most `jobs` threads. Which thread does what is left to chance; the
/// results are not.
pub(crate) fn each<T: Send>(count: usize, jobs: NonZeroUsize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let claim = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count);
        std::iter::from_fn(claim).map(|index| (index, work(index))).collect::<Vec<(usize, T)>>()
    };
    let mut results: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.get().min(count)).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Does `work` for every index below `count` on at most `jobs` threads, each of which folds its share into its own state, and
/// returns the states: in no order, and with no promise which thread does what. `work` may stop all threads.
pub(crate) fn fold<S: Send>(
    count: u64,
    jobs: NonZeroUsize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, u64) -> ControlFlow<()> + Sync,
) -> Vec<S> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut state = start();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return state;
            }
            if work(&mut state, index).is_break() {
                // Half of all numbers is left before the counter could come round.
                next.fetch_max(u64::MAX / 2, Ordering::Relaxed);
            }
        }
    };
    let threads = usize::try_from(count).map_or(jobs.get(), |count| jobs.get().min(count));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_meets_every_index_once_and_can_be_stopped() {
        for jobs in [1, 3, 64] {
            let jobs = NonZeroUsize::new(jobs).unwrap();
            let keep = |seen: &mut Vec<u64>, index| {
                seen.push(index);
                ControlFlow::Continue(())
            };
            let mut seen = fold(100, jobs, Vec::new, keep).concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..100).collect::<Vec<_>>());
            let stop = |seen: &mut u64, _| {
                *seen += 1;
                ControlFlow::Break(())
            };
            let seen: u64 = fold(1_000_000, jobs, || 0, stop).iter().sum();
            assert!(seen <= jobs.get() as u64, "{seen}");
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_work() {
        for jobs in [1, 3, 64] {
            let squares = each(20, NonZeroUsize::new(jobs).unwrap(), |index| index * index);
            assert_eq!(squares, (0..20).map(|index| index * index).collect::<Vec<_>>());
        }
        assert!(each(0, NonZeroUsize::MIN, |index| index).is_empty());
    }
}
