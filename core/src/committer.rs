//! Between the machines and the store: which commands share a commit, and whose a reply is.
//!
//! This version passes through, one command a commit; the machines already speak to it and not to the store, so that
//! batching is a decision of its own. It owns the tickets: each submitted command has one, each reply names one, and a
//! reply under an unknown ticket is nobody's.

use crate::admission::VisitToken;
use crate::delivery::AttemptId;
use crate::experiment::VariantIndex;
use crate::identity::UserHandle;
use crate::store::Command;
use crate::time::Instant;

/// Names a submitted command; unique among the commands under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u32);

/// Who waits for a command's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The process's start.
    Open,
    /// A visit.
    Visit {
        /// Which.
        visit: VisitToken,
        /// Whose.
        user: UserHandle,
        /// What a provisional answer shows.
        provisional: VariantIndex,
    },
    /// The claim of the lane.
    Claim,
    /// The settlement of an attempt.
    Settle(AttemptId),
}

/// A command under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Submitted {
    /// Who waits.
    pub origin: Origin,
    /// When it was sent, on the process's monotonic clock.
    pub sent_at: Instant,
}

/// A batch of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Names the reply.
    pub ticket: Ticket,
    /// What to do.
    pub command: Command,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Committer {
    under_way: Vec<Option<Submitted>>,
    free: Vec<u32>,
}

impl Committer {
    /// Takes a command and returns the commit it belongs to.
    pub fn submit(&mut self, now: Instant, origin: Origin, command: Command) -> Commit {
        let submitted = Some(Submitted { origin, sent_at: now });
        let slot = if let Some(slot) = self.free.pop() {
            self.under_way[slot as usize] = submitted;
            slot
        } else {
            self.under_way.push(submitted);
            u32::try_from(self.under_way.len() - 1).expect("fewer than 2^32 commands are under way at once")
        };
        Commit { ticket: Ticket(slot), command }
    }

    /// Takes a reply's ticket and returns who waited for it; `None` if nobody does.
    pub fn on_reply(&mut self, ticket: Ticket) -> Option<Submitted> {
        let submitted = self.under_way.get_mut(ticket.0 as usize)?.take()?;
        self.free.push(ticket.0);
        Some(submitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_finds_its_origin_once() {
        let mut committer = Committer::default();
        let now = Instant::from_nanos(5);
        let first = committer.submit(now, Origin::Open, Command::Open);
        let second = committer.submit(now, Origin::Claim, Command::Open);
        assert_ne!(first.ticket, second.ticket);
        assert_eq!(committer.on_reply(second.ticket), Some(Submitted { origin: Origin::Claim, sent_at: now }));
        assert_eq!(committer.on_reply(second.ticket), None);
        assert_eq!(committer.on_reply(Ticket(77)), None);
        assert_eq!(committer.on_reply(first.ticket), Some(Submitted { origin: Origin::Open, sent_at: now }));
    }
}
