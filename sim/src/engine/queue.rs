//! A monotone priority queue: a timing wheel of base 64, and beside it lanes for timeouts.
//!
//! After G. Varghese and A. Lauck, "Hashed and Hierarchical Timing Wheels", 1987, and the radix heap of R. Ahuja and
//! others, 1990: an event lies at the level of the highest base-64 digit in which its time differs from now, in the slot
//! of that digit. A slot is spread over the levels below only when its earliest event is next, so an event moves at most
//! once a level, usually once or twice in all.
//!
//! Timeouts of one length end in the order in which they began, and most are over before their time. So each kind has a lane,
//! first in, first out, which is looked at only when its first may be next: then all in front leaves that no longer matters.
//! At equal times the wheel's events come
//! first: what happens at the very end of a patience still counts.

use std::collections::VecDeque;
use std::mem;

use hookproof_core::time::Instant;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// 11 digits of 6 bits cover 64.
const LEVELS: usize = 64usize.div_ceil(BITS as usize);

/// Number of lanes for timeouts.
const LANES: usize = 2;

/// Events in order of time; of equal times, in order of insertion, timeouts last.
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    now: u64,
    /// What the wheel's levels are counted from; not later than now.
    base: u64,
    len: usize,
    /// Which levels hold anything.
    levels: u16,
    /// Which slots of a level hold anything.
    slots: [u64; LEVELS],
    buckets: Vec<Vec<(u64, E)>>,
    lanes: [VecDeque<(u64, E)>; LANES],
    /// No lane holds anything earlier.
    lanes_from: u64,
    /// Events at `base` that have left their bucket, last first.
    current: Vec<(u64, E)>,
    /// A spare buffer, so that emptying a bucket does not free its memory.
    spare: Vec<(u64, E)>,
    dropped: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> EventQueue<E> {
    /// An empty queue at the origin of time.
    pub fn new() -> Self {
        Self {
            now: 0,
            base: 0,
            len: 0,
            levels: 0,
            slots: [0; LEVELS],
            buckets: std::iter::repeat_with(Vec::new).take(LEVELS * SLOTS).collect(),
            lanes: [const { VecDeque::new() }; LANES],
            lanes_from: u64::MAX,
            current: Vec::new(),
            spare: Vec::new(),
            dropped: 0,
        }
    }

    /// The time of the event that was popped last.
    pub const fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// Number of events.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no event.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an event; a time that has passed means now.
    pub fn push(&mut self, at: Instant, event: E) {
        self.len += 1;
        self.place(at.as_nanos().max(self.now), event);
    }

    /// Adds a timeout to a lane. One that ends before the lane's last goes to the wheel instead.
    pub fn push_timeout(&mut self, lane: usize, at: Instant, event: E) {
        let time = at.as_nanos().max(self.now);
        if self.lanes[lane].back().is_some_and(|(last, _)| *last > time) {
            self.push(at, event);
        } else {
            self.len += 1;
            self.lanes_from = self.lanes_from.min(time);
            self.lanes[lane].push_back((time, event));
        }
    }

    /// Events that [`EventQueue::pop_if`] dropped.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the next event and moves time to it.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        self.pop_if(|_| true)
    }

    /// Takes the next event and moves time to it. Events for which `matters` says no may be dropped on the way; it must
    /// never say yes again for an event for which it once said no.
    pub fn pop_if(&mut self, matters: impl Fn(&E) -> bool) -> Option<(Instant, E)> {
        while self.current.is_empty() && !self.refill(&matters) {
            self.drop_over(&matters);
            let fronts = self.lanes.iter().zip(0..).filter_map(|(lane, number)| Some((lane.front()?.0, number)));
            let Some((at, lane)) = fronts.min() else {
                if self.levels == 0 {
                    return None;
                }
                self.lanes_from = u64::MAX;
                continue;
            };
            if at == self.lanes_from {
                let (_, event) = self.lanes[lane].pop_front()?;
                return Some(self.popped(at, event));
            }
            self.lanes_from = at;
        }
        let (at, event) = self.current.pop()?;
        Some(self.popped(at, event))
    }

    #[inline]
    fn popped(&mut self, at: u64, event: E) -> (Instant, E) {
        self.now = at;
        self.len -= 1;
        (Instant::from_nanos(at), event)
    }

    /// Drops what no longer matters in front of the lanes.
    fn drop_over(&mut self, matters: impl Fn(&E) -> bool) {
        for lane in &mut self.lanes {
            while lane.front().is_some_and(|(_, event)| !matters(event)) {
                lane.pop_front();
                self.len -= 1;
                self.dropped += 1;
            }
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a slot is the lowest six bits")]
    fn place(&mut self, at: u64, event: E) {
        let differing = at ^ self.base;
        let level = differing.checked_ilog2().unwrap_or(0) / BITS;
        let slot = (at >> (level * BITS)) as u8 as usize & (SLOTS - 1);
        self.levels |= 1 << level;
        self.slots[level as usize] |= 1 << slot;
        self.buckets[level as usize * SLOTS + slot].push((at, event));
    }

    /// Moves the wheel's earliest events to `current`, unless a lane may hold something earlier.
    fn refill(&mut self, matters: impl Fn(&E) -> bool) -> bool {
        let limit = self.lanes_from;
        loop {
            if self.levels == 0 {
                return false;
            }
            let level = self.levels.trailing_zeros() as usize;
            let slot = self.slots[level].trailing_zeros() as usize;
            let bucket = &mut self.buckets[level * SLOTS + slot];
            if bucket.len() == 1 && bucket[0].0 > limit || slot_start(self.base, level, slot) > limit {
                return false;
            }
            self.slots[level] &= !(1 << slot);
            if self.slots[level] == 0 {
                self.levels &= !(1 << level);
            }
            if level == 0 || bucket.len() == 1 {
                mem::swap(bucket, &mut self.current);
                self.current.reverse();
                self.base = self.current[0].0;
                return true;
            }
            let mut events = mem::replace(bucket, mem::take(&mut self.spare));
            let before = events.len();
            events.retain(|(_, event)| matters(event));
            let dropped = before - events.len();
            self.len -= dropped;
            self.dropped += dropped as u64;
            if let Some(earliest) = events.iter().map(|(at, _)| *at).min() {
                self.base = earliest.min(limit);
            }
            for (at, event) in events.drain(..) {
                self.place(at, event);
            }
            self.spare = events;
        }
    }
}

/// The earliest time of a slot that is later than `base` in the digit of `level` and like it in the higher ones.
const fn slot_start(base: u64, level: usize, slot: usize) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "one of eleven levels")]
    let shift = level as u32 * BITS;
    let higher = match base.checked_shr(shift + BITS) {
        Some(digits) if shift + BITS < u64::BITS => digits << (shift + BITS),
        Some(_) | None => 0,
    };
    higher | (slot as u64) << shift
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_times_come_in_order_of_insertion_whenever_they_were_inserted() {
        let mut queue = EventQueue::new();
        let at = Instant::from_nanos;
        queue.push(at(1_000_000), 'a');
        queue.push(at(10), 'x');
        queue.push(at(1_000_000), 'b');
        assert_eq!(queue.pop(), Some((at(10), 'x')));
        queue.push(at(1_000_000), 'c');
        queue.push(at(999_999), 'y');
        assert_eq!(queue.pop(), Some((at(999_999), 'y')));
        queue.push(at(1_000_000), 'd');
        let rest: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(rest, "abcd");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_time_that_has_passed_means_now() {
        let mut queue = EventQueue::new();
        queue.push(Instant::from_nanos(50), 1);
        queue.pop();
        queue.push(Instant::from_nanos(20), 2);
        assert_eq!(queue.pop(), Some((Instant::from_nanos(50), 2)));
    }

    #[test]
    fn an_event_that_no_longer_matters_may_be_dropped_and_the_others_keep_their_order() {
        let mut queue = EventQueue::new();
        for n in 0..1_000 {
            queue.push(Instant::from_nanos(1_000_000 + n % 7), n);
        }
        let popped: Vec<u64> = std::iter::from_fn(|| queue.pop_if(|n| n % 3 > 0)).map(|(_, n)| n).collect();
        let mut expected: Vec<u64> = (0..1_000).filter(|n| n % 3 > 0).collect();
        expected.sort_by_key(|n| n % 7);
        assert_eq!((popped, queue.dropped()), (expected, 334));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_timeout_comes_after_what_happens_at_its_time_and_one_that_is_over_never() {
        let mut queue = EventQueue::new();
        let at = Instant::from_nanos;
        queue.push_timeout(0, at(5_000), "over");
        queue.push_timeout(0, at(5_000), "timeout");
        queue.push_timeout(1, at(9_000_000), "later");
        queue.push_timeout(1, at(7_000), "shorter than the last");
        queue.push(at(5_000), "event");
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop_if(|event| *event != "over")).collect();
        let expected = [(5_000, "event"), (5_000, "timeout"), (7_000, "shorter than the last"), (9_000_000, "later")];
        assert_eq!(popped, expected.map(|(time, event)| (at(time), event)));
        assert_eq!((queue.len(), queue.dropped()), (0, 1));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(steps in prop::collection::vec((0u32..5, 0u32..40, any::<u64>()), 1..400)) {
            let (mut queue, mut model) = (EventQueue::new(), BTreeMap::new());
            let mut now = 0;
            for (n, (step, shift, offset)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let expected = model.pop_first().map(|((at, _, _), event)| (Instant::from_nanos(at), event));
                        prop_assert_eq!(queue.pop(), expected);
                        now = expected.map_or(now, |(at, _)| at.as_nanos());
                    }
                    2 => {
                        let (lane, length) = if offset % 2 == 0 { (0, 700) } else { (1, 5_000_000_000) };
                        let at = now.saturating_add(length);
                        queue.push_timeout(lane, Instant::from_nanos(at), n);
                        model.insert((at, 1 + lane, n), n);
                    }
                    _ => {
                        let at = now.saturating_add(offset >> (24 + shift));
                        queue.push(Instant::from_nanos(at), n);
                        model.insert((at, 0, n), n);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            while let Some(((at, _, _), event)) = model.pop_first() {
                prop_assert_eq!(queue.pop(), Some((Instant::from_nanos(at), event)));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
