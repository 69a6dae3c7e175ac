//! An open loop: every visit begins at its time, whatever became of those before it.
//!
//! A loop that waits for an answer before it asks again stops measuring exactly when the subject is slow ("coordinated omission": Gil Tene, "How NOT to Measure
//! Latency", 2013). Here nothing waits, and a wait counts from the *intended* start, so that what the generator is late with counts,
//! too. How late it was is told beside it ([`Measured::lag`]): where that is more than a little, the machine had no time for both, and the figures say more about
//! the generator than about the hook.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::arrivals::Plan;
use crate::latency::Latency;

/// How a visit was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// By a record that the visit made.
    First,
    /// By a record that was there.
    Repeated,
    /// Without a record.
    Provisional,
    /// Not.
    Failed,
}

/// What visits of one kind took.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// From the intended start.
    pub wait: Latency,
    /// From the call.
    pub call: Latency,
}

/// What was measured after the warm-up.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Visits offered.
    pub offered_count: u64,
    /// Visits that made a record.
    pub first: Waits,
    /// Visits of users who had one.
    pub repeated: Waits,
    /// Both together.
    pub recorded: Waits,
    /// Visits answered without a record; not among the above.
    pub provisional_count: u64,
    /// Visits not answered; not among the above.
    pub failed_count: u64,
    /// How late the generator began visits.
    pub lag: Latency,
    /// From the end of the warm-up to the last answer.
    pub took: Duration,
}

impl Measured {
    /// Visits answered with a record, by second.
    pub fn recorded_per_second(&self) -> f64 {
        self.recorded.wait.count() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

struct Sample {
    answered: Answered,
    lag: Duration,
    wait: Duration,
    call: Duration,
}

/// Offers the visits of `plan` on the runtime of `handle`; `visit` answers that of the user with this id. Blocks the calling thread,
/// which is the generator, until the last one is answered.
pub fn offer<F>(handle: &Handle, plan: Plan, visit: impl Fn(Arc<str>) -> F) -> Measured
where
    F: Future<Output = Answered> + Send + 'static,
{
    let mut measured = Measured::default();
    let (ended, samples) = channel();
    let start = Instant::now();
    for arrival in plan.arrivals() {
        let intended = start + arrival.at;
        let answer = visit(arrival.visitor.id().into());
        let ended = arrival.is_measured.then(|| ended.clone());
        measured.offered_count += u64::from(arrival.is_measured);
        // Between visits rather than in a thread of its own, which would be woken at each answer.
        for sample in samples.try_iter() {
            measured.record(&sample);
        }
        sleep(intended.saturating_duration_since(Instant::now()));
        handle.spawn(async move {
            let began = Instant::now();
            let answered = answer.await;
            let now = Instant::now();
            let (lag, wait, call) = (began - intended, now - intended, now - began);
            if let Some(ended) = ended {
                // The generator waits for all of them.
                let _ = ended.send(Sample { answered, lag, wait, call });
            }
        });
    }
    drop(ended);
    for sample in samples {
        measured.record(&sample);
    }
    measured.took = start.elapsed().saturating_sub(plan.warm_up);
    measured
}

impl Measured {
    fn record(&mut self, sample: &Sample) {
        self.lag.record(sample.lag);
        let kind = match sample.answered {
            Answered::First => &mut self.first,
            Answered::Repeated => &mut self.repeated,
            Answered::Provisional => {
                self.provisional_count += 1;
                return;
            }
            Answered::Failed => {
                self.failed_count += 1;
                return;
            }
        };
        for waits in [kind, &mut self.recorded] {
            waits.wait.record(sample.wait);
            waits.call.record(sample.call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// A subject that answers nobody until all but ten have come: a closed loop would never end, and would not see the wait.
    #[test]
    fn visits_are_offered_while_none_is_answered_and_the_wait_counts() {
        let plan = Plan {
            per_second: 2_000.0,
            warm_up: Duration::ZERO,
            length: Duration::from_millis(100),
            users: 1,
            first_visits: 0.0,
            seed: 3,
        };
        let count = u32::try_from(plan.arrivals().count()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let come = Arc::new(Semaphore::new(0));
        let measured = offer(runtime.handle(), plan, |_| {
            let come = Arc::clone(&come);
            async move {
                come.add_permits(1);
                // It stays: whoever waits for all of them takes none away.
                let _ = come.acquire_many(count - 10).await.unwrap();
                Answered::Repeated
            }
        });
        assert_eq!((measured.offered_count, measured.recorded.wait.count()), (count.into(), count.into()));
        // The first came some 100 ms before the last ones.
        assert!(measured.repeated.wait.max().unwrap() > Duration::from_millis(50));
    }

    #[test]
    fn answers_are_told_apart_and_the_warm_up_does_not_count() {
        let plan = Plan {
            per_second: 1_000.0,
            warm_up: Duration::from_millis(100),
            length: Duration::from_millis(100),
            users: 1,
            first_visits: 0.5,
            seed: 4,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let measured = offer(runtime.handle(), plan, |id| async move {
            match id.len() % 3 {
                0 => Answered::First,
                1 => Answered::Provisional,
                _ => Answered::Failed,
            }
        });
        let mut expected = [0; 3];
        let counted = plan.arrivals().filter(|arrival| arrival.is_measured);
        counted.for_each(|arrival| expected[arrival.visitor.id().len() % 3] += 1);
        let counts = [measured.first.wait.count(), measured.provisional_count, measured.failed_count];
        assert_eq!(counts, expected);
        assert_eq!(measured.lag.count(), measured.offered_count);
    }
}
