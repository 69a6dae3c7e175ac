//! What happened in a run, in order, as somebody would tell it who saw everything: for the stories of a few users.
//!
//! Owns what is told, not the words. The world tells it as it happens, and only if somebody listens; telling draws nothing and
//! decides nothing, so a run that is told has the digest of one that is not (`tests/simulation/chronicle.rs`). Each entry has the true
//! time and what the clock of its place showed.

use std::collections::BTreeMap;

use hookproof_core::classify::Doubt;
use hookproof_core::store::{Fence, GrantState};
use hookproof_core::time::{Instant, WallTime};
use hookproof_core::upstream::{Answer, Ask};

use crate::quota_service::RequestKey;
use crate::subject::Shown;

/// Entries that are kept of each user, and of what befalls everybody; what comes after a user's is counted.
const ENTRIES_MAX: usize = 2_000;

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the web tier.
    Caller,
    /// On an instance, from 0.
    Instance(u16),
    /// In the store.
    Store,
    /// At the quota service.
    Quota,
    /// Everywhere.
    Run,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A visit begins.
    Visits,
    /// A try of a visit goes to an instance.
    Tries {
        /// The how-manieth try of the visit, from 1.
        attempt: u32,
        /// The instance.
        instance: u16,
        /// The user's how-manieth visit it belongs to, from 1.
        visit: u64,
    },
    /// A try has failed; the caller tries again or leaves.
    TryFailed {
        /// Whether there will be another try.
        again: Again,
    },
    /// A visit is answered.
    Shown {
        /// With what.
        shown: Shown,
    },
    /// An exposure is recorded.
    Exposed {
        /// The variant's index.
        variant: u8,
        /// The version that recorded it: 0 is the scenario's, the others its roll-outs'.
        version: u8,
    },
    /// The grant is claimed for an instance.
    Claimed {
        /// The instance.
        instance: u16,
        /// The how-manieth claim with intent to send.
        attempt: u32,
        /// What is known of earlier ones.
        doubt: Doubt,
        /// What names the claim.
        fence: Fence,
    },
    /// A request leaves.
    Sent {
        /// The user's how-manieth request.
        number: u64,
        /// To do what.
        ask: Ask,
        /// Under which key.
        key: Option<RequestKey>,
        /// Whether a visit waits for it.
        is_awaited: bool,
    },
    /// A fault touches a request.
    Touched {
        /// The user's how-manieth request.
        number: u64,
        /// The fault, by its place in the scenario.
        fault: u32,
    },
    /// The network or a proxy sends a request a second time.
    Repeated {
        /// The user's how-manieth request.
        number: u64,
    },
    /// A request reaches the quota service.
    Arrived {
        /// The user's how-manieth request.
        number: u64,
    },
    /// The quota service is done with a request.
    Served {
        /// The user's how-manieth request.
        number: u64,
        /// Its answer.
        status: u16,
        /// Units that the ledger moved by.
        units: Option<u32>,
        /// Whether the answer is that of an earlier request.
        is_replay: bool,
    },
    /// An attempt ends for its client.
    Heard {
        /// The user's how-manieth request.
        number: u64,
        /// How.
        answer: Answer,
    },
    /// The grant's state in the store is final.
    Settled {
        /// How it ended.
        state: GrantState,
    },
    /// A process starts.
    Starts {
        /// The instance.
        instance: u16,
    },
    /// A process ends.
    Stops {
        /// The instance.
        instance: u16,
    },
    /// A fault begins.
    FaultStarts {
        /// The fault, by its place in the scenario.
        fault: u32,
    },
    /// A fault ends.
    FaultEnds {
        /// The fault, by its place in the scenario.
        fault: u32,
    },
}

/// Whether a caller whose try has failed tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// After a pause.
    Later,
    /// Never.
    Never,
}

/// Something that happened, with its circumstances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// True time.
    pub at: Instant,
    /// Whom it concerns; `None` is everybody.
    pub user: Option<u32>,
    /// Where.
    pub place: Place,
    /// What the clock of that place showed, if it has one.
    pub shown: Option<WallTime>,
    /// What.
    pub what: Happening,
    /// The user's how-manieth visit that it belongs to, from 1: the one under way or, of a request, the one that waits for it or
    /// has promised it. `None` for what belongs to no visit, and in what is told of everybody: that takes a record of each user.
    pub visit: Option<u16>,
}

/// Who is told everything, in order of time.
pub(crate) type Listener<'l> = &'l mut dyn FnMut(&Entry);

/// What happened to a few users, and what befell everybody meanwhile.
#[derive(Clone, Debug)]
pub struct Chronicle {
    subjects: Vec<Subject>,
    entries: Vec<Entry>,
    /// Entries of what befell everybody.
    common: usize,
}

/// One of those it is about.
#[derive(Clone, Debug)]
struct Subject {
    user: u32,
    /// Which visit promised the grant.
    promised_in: Option<u16>,
    /// Requests that a visit waits for, with that visit.
    awaited: BTreeMap<u64, u16>,
    entries: usize,
    left_out: u64,
    account: Account,
}

/// What a user has when the run ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Number of effects.
    pub effects: u16,
    /// Units held.
    pub held: u64,
    /// The user's own intended cap, in units.
    pub intended: u64,
}

impl Chronicle {
    /// Nothing has happened yet to these users.
    pub fn of_users(users: &[u32]) -> Self {
        let subject = |user: &u32| Subject {
            user: *user,
            promised_in: None,
            awaited: BTreeMap::new(),
            entries: 0,
            left_out: 0,
            account: Account::default(),
        };
        Self { subjects: users.iter().map(subject).collect(), entries: Vec::new(), common: 0 }
    }

    /// Whether it is about a user.
    pub(crate) fn is_about(&self, user: u32) -> bool {
        self.subjects.iter().any(|subject| subject.user == user)
    }

    /// What happened to one of the users, and to everybody from the first to the last thing that happened to this one. In order
    /// of time.
    pub fn story(&self, user: u32) -> Vec<Entry> {
        let is_own = |entry: &Entry| entry.user == Some(user);
        let from = self.entries.iter().position(is_own).unwrap_or(0);
        let to = self.entries.iter().rposition(is_own).map_or(0, |last| last + 1);
        let concerns = |entry: &&Entry| is_own(entry) || entry.user.is_none();
        self.entries[from.min(to)..to].iter().filter(concerns).copied().collect()
    }

    /// How much happened to a user after the last entry about them.
    pub fn left_out(&self, user: u32) -> u64 {
        self.subjects.iter().find(|subject| subject.user == user).map_or(0, |subject| subject.left_out)
    }

    /// What a user has at the end.
    pub fn account(&self, user: u32) -> Account {
        self.subjects
            .iter()
            .find(|subject| subject.user == user)
            .map_or_else(Account::default, |subject| subject.account)
    }

    /// The run is over.
    pub(crate) fn close(&mut self, account: impl Fn(u32) -> Account) {
        for subject in &mut self.subjects {
            subject.account = account(subject.user);
        }
    }

    /// Something befell everybody. Before anybody it is about has come, that tells nothing.
    pub(crate) fn enter_for_all(&mut self, at: Instant, place: Place, shown: Option<WallTime>, what: Happening) {
        if !self.entries.is_empty() && self.common < ENTRIES_MAX {
            self.common += 1;
            self.entries.push(Entry { at, user: None, place, shown, what, visit: None });
        }
    }

    /// Something happened to a user who had visited so often by then.
    pub(crate) fn enter(&mut self, entry: Entry, visits: u16) {
        let about = |subject: &&mut Subject| Some(subject.user) == entry.user;
        let Some(subject) = self.subjects.iter_mut().find(about) else { return };
        if subject.entries == ENTRIES_MAX {
            subject.left_out += 1;
            return;
        }
        subject.entries += 1;
        let visit = subject.visit_of(entry.what, visits);
        self.entries.push(Entry { visit, ..entry });
    }
}

impl Subject {
    /// Which visit something belongs to, of those so far.
    fn visit_of(&mut self, what: Happening, visits: u16) -> Option<u16> {
        if let Happening::Exposed { .. } = what {
            self.promised_in = self.promised_in.or(Some(visits));
        }
        if let Happening::Sent { number, is_awaited: true, .. } = what {
            self.awaited.insert(number, visits);
        }
        if what.is_of_visit() {
            return Some(visits);
        }
        let awaiting = what.request().and_then(|number| self.awaited.get(&number));
        awaiting.copied().or(self.promised_in)
    }
}

impl Happening {
    /// The request that it is about.
    const fn request(self) -> Option<u64> {
        match self {
            Self::Sent { number, .. }
            | Self::Touched { number, .. }
            | Self::Repeated { number }
            | Self::Arrived { number }
            | Self::Served { number, .. }
            | Self::Heard { number, .. } => Some(number),
            Self::Visits
            | Self::Tries { .. }
            | Self::TryFailed { .. }
            | Self::Shown { .. }
            | Self::Exposed { .. }
            | Self::Claimed { .. }
            | Self::Settled { .. }
            | Self::Starts { .. }
            | Self::Stops { .. }
            | Self::FaultStarts { .. }
            | Self::FaultEnds { .. } => None,
        }
    }

    /// Whether it belongs to the visit under way.
    const fn is_of_visit(self) -> bool {
        match self {
            Self::Visits | Self::Tries { .. } | Self::TryFailed { .. } | Self::Shown { .. } | Self::Exposed { .. } => {
                true
            }
            Self::Claimed { .. }
            | Self::Sent { .. }
            | Self::Touched { .. }
            | Self::Repeated { .. }
            | Self::Arrived { .. }
            | Self::Served { .. }
            | Self::Heard { .. }
            | Self::Settled { .. }
            | Self::Starts { .. }
            | Self::Stops { .. }
            | Self::FaultStarts { .. }
            | Self::FaultEnds { .. } => false,
        }
    }
}
