//! Answers that say yes, held against the ledger.
//!
//! Owns the 2xx answers that clients heard and the requests and keys that moved the ledger. An answer is explained by an
//! effect of its request or of its key, whichever came first; what has neither when the run ends was a lie. It is kept only
//! where the quota service may lie, since it remembers every effect by name.

use std::collections::BTreeSet;

use hookproof_core::time::Instant;

use crate::quota_service::RequestKey;

/// A request, as the ledger's entry and the answer name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestName {
    /// Whose quota.
    pub user: u32,
    /// The user's how-manieth request; a copy of it has the same number.
    pub number: u64,
    /// The key it carries.
    pub key: Option<RequestKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Request(u32, u64),
    Key(RequestKey),
}

impl RequestName {
    fn names(self) -> impl Iterator<Item = Name> {
        std::iter::once(Name::Request(self.user, self.number)).chain(self.key.map(Name::Key))
    }
}

/// The answers and the effects of one run.
#[derive(Clone, Debug, Default)]
pub struct Acks {
    effects: BTreeSet<Name>,
    heard: Vec<(Instant, RequestName)>,
}

impl Acks {
    /// The ledger moved for a request.
    pub fn effect(&mut self, request: RequestName) {
        self.effects.extend(request.names());
    }

    /// A client heard a 2xx.
    pub fn heard(&mut self, now: Instant, request: RequestName) {
        if !self.is_explained(request) {
            self.heard.push((now, request));
        }
    }

    /// When answers were heard that no effect explains, by all that is known so far.
    pub fn unexplained(&self) -> impl Iterator<Item = Instant> {
        self.heard.iter().filter(|(_, request)| !self.is_explained(*request)).map(|(at, _)| *at)
    }

    fn is_explained(&self, request: RequestName) -> bool {
        request.names().any(|name| self.effects.contains(&name))
    }
}
