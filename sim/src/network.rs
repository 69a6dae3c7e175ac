//! The way between a hook and the quota service, as its client sees it.
//!
//! Owns travel time and the client's patience. What goes wrong on the way is `fault`'s, what the service does is
//! `quota_service`'s.

use std::time::Duration;

use hookproof_core::time::Instant;

/// Travel time one way; part of every scenario, since the contract has no key for it.
pub const ONE_WAY: Duration = Duration::from_micros(500);

/// How long connecting is tried by a client that sets no limit of its own: Linux gives up after six retransmissions of
/// the SYN, 127 s after the first (`tcp_syn_retries`, tcp(7)).
pub const CONNECT_GIVE_UP: Duration = Duration::from_secs(127);

/// How long a client waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For ever: `requests` without `timeout`.
    Forever,
    /// This long for a connection, and this long for *each read*: `requests` with `timeout`. An answer that drips in never
    /// exceeds it.
    PerRead(Duration),
    /// This long for a connection and so long for everything.
    Total {
        /// For a connection.
        connect: Duration,
        /// For everything.
        attempt: Duration,
    },
}

impl Patience {
    /// When the client gives up, if it sends at `sent_at` and bytes arrive at `reads`; `None`: it reads to the end.
    pub fn gives_up_at(self, sent_at: Instant, reads: impl IntoIterator<Item = Instant>) -> Option<Instant> {
        let mut limit = match self {
            Self::Forever => return None,
            Self::PerRead(each) => sent_at + each,
            Self::Total { attempt, .. } => sent_at + attempt,
        };
        for read in reads {
            if read > limit {
                return Some(limit);
            }
            if let Self::PerRead(each) = self {
                limit = read + each;
            }
        }
        None
    }

    /// When the client gives up if no byte ever comes.
    pub fn limit(self, sent_at: Instant) -> Option<Instant> {
        self.gives_up_at(sent_at, [Instant::MAX])
    }

    /// How long the client tries to connect.
    pub const fn connect(self) -> Duration {
        match self {
            Self::Forever => CONNECT_GIVE_UP,
            Self::PerRead(each) => each,
            Self::Total { connect, .. } => connect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drip(bytes: u64) -> impl Iterator<Item = Instant> {
        (1..=bytes).map(|n| Instant::from_nanos(n * 1_000_000_000))
    }

    #[test]
    fn a_timeout_per_read_never_ends_a_slow_drip_and_a_total_one_does() {
        let each = Duration::from_millis(2_500);
        assert_eq!(Patience::PerRead(each).gives_up_at(Instant::ORIGIN, drip(3_600)), None);
        let total = Patience::Total { connect: Duration::from_secs(1), attempt: Duration::from_secs(5) };
        assert_eq!(total.gives_up_at(Instant::ORIGIN, drip(3_600)), Some(Instant::from_nanos(5_000_000_000)));
    }

    #[test]
    fn silence_ends_either_and_never_a_client_without_a_timeout() {
        let each = Duration::from_millis(2_500);
        assert_eq!(Patience::PerRead(each).limit(Instant::ORIGIN), Some(Instant::from_nanos(2_500_000_000)));
        assert_eq!(Patience::Forever.limit(Instant::ORIGIN), None);
    }
}
