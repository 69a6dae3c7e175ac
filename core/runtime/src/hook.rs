//! The hook as a service embeds it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hookproof_core::admission::{Admission, VisitAnswer};
use hookproof_core::assignment::{InvalidUserId, UserId};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::hook::{self as machines, HookConfig, HookConfigError};
use hookproof_core::identity::GrantId;
use hookproof_core::lineage::Lineage;
use hookproof_core::store::{Admitted, First, GrantState};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Client;
use crate::driver::{Driver, Outputs, Parts, Visit};
use crate::known::Known;
use crate::operator::{Order, StoreState};
use crate::store::{Store, User};
use crate::telemetry::{Shown, Telemetry};

/// Operators' orders that may wait for the driver.
const ORDERS_MAX: usize = 16;

/// What a hook is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The experiment's present version, and all others that may be live.
    pub lineage: Lineage,
    /// Settings of delivery and of commits.
    pub hook: HookConfig,
    /// Users whose record is remembered, so that their visits need no I/O: some 200 bytes each. Default 100,000.
    pub known_max: usize,
    /// Visits that may wait for the driver; further ones wait outside. Default 4,096.
    pub waiting_max: usize,
    /// How users stand in logs. Default: by pseudonyms under a key of this process's.
    pub shown: Shown,
}

impl Config {
    /// The defaults for `lineage` under `hook`.
    pub fn new(lineage: Lineage, hook: HookConfig) -> Self {
        Self { lineage, hook, known_max: 100_000, waiting_max: 4_096, shown: Shown::for_this_process() }
    }
}

/// Why a visit has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VisitError {
    /// The id cannot be assigned: the caller's fault.
    #[error(transparent)]
    InvalidUserId(#[from] InvalidUserId),
    /// The hook is shutting down; ask another instance.
    #[error("the hook is shutting down")]
    ShuttingDown,
}

/// The answer to a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visited {
    /// What to show.
    pub variant: VariantIndex,
    /// What it rests on.
    pub basis: Basis,
    /// The user's grant, if the record has one, in the state that this process has heard of last.
    pub grant: Option<(GrantId, GrantState)>,
}

/// What a visit's answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The record that this visit made: the user's first exposure.
    FirstExposure,
    /// A record that was there.
    Recorded,
    /// The user takes no part, and sees the baseline: no exposure.
    NotEnrolled,
    /// The experiment blocks whom it exposed in an earlier generation, and the user sees the baseline: no exposure.
    Blocked,
    /// The store could not record it: no exposure, and nothing is granted. The next visit tries again.
    Provisional,
}

/// A running hook, to be asked from anywhere in the process.
#[derive(Clone, Debug)]
pub struct Hook {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    /// Answers from what is known; the driver's own decides everything else.
    admission: Admission,
    known: Arc<Known>,
    telemetry: Arc<Telemetry>,
    visits: mpsc::Sender<Visit>,
    pub(crate) orders: mpsc::Sender<Order>,
    /// The driver's: when that has ended, the store is closed.
    pub(crate) store: Weak<Store>,
    pub(crate) store_state: watch::Receiver<StoreState>,
}

impl Hook {
    /// Answers a visit of the user with the id `user_id`. `correlation` is recorded with the first exposure and goes with every
    /// request for its grant.
    ///
    /// A user whom this process knows is answered without I/O, others when the store has their record, or after
    /// [`store-patience`](hookproof_core::committer::CommitterConfig::patience) without one. The quota service has no part in it.
    ///
    /// # Errors
    /// See [`VisitError`].
    pub async fn visit(&self, user_id: &str, correlation: Option<&str>) -> Result<Visited, VisitError> {
        let timer = self.shared.telemetry.visit_begins();
        let answer = self.answer(user_id, correlation).await;
        timer.ends(&answer);
        answer
    }

    async fn answer(&self, user_id: &str, correlation: Option<&str>) -> Result<Visited, VisitError> {
        if let Some(visited) = self.known(user_id) {
            return Ok(visited);
        }
        UserId::new(user_id.as_bytes())?;
        let user = User { id: user_id.into(), correlation: correlation.map(Into::into), grant: None };
        let (answer, wait) = oneshot::channel();
        let sent = self.shared.visits.send(Visit { user, answer }).await;
        sent.map_err(|_| VisitError::ShuttingDown)?;
        let (answer, grant) = wait.await.map_err(|_| VisitError::ShuttingDown)?;
        visited(answer, grant)
    }

    /// The answer to a visit of a user, if the record is known.
    pub(crate) fn known(&self, user_id: &str) -> Option<Visited> {
        let record = self.shared.known.get(user_id)?;
        let grant = record.grant.map(|(grant, _)| grant);
        Some(self.recorded(record.found(), grant).expect("a recorded user's id is permitted"))
    }

    /// The answer to a visit of a user who has a record.
    pub(crate) fn recorded(&self, found: Admitted, grant: Option<GrantId>) -> Result<Visited, VisitError> {
        visited(self.shared.admission.on_record(Some(found)), grant)
    }

    /// The experiment's versions that this process knows.
    pub fn lineage(&self) -> &Lineage {
        self.shared.admission.lineage()
    }

    /// What it counts and measures.
    pub fn telemetry(&self) -> &Telemetry {
        &self.shared.telemetry
    }
}

fn visited(answer: VisitAnswer, id: Option<GrantId>) -> Result<Visited, VisitError> {
    let (variant, basis, grant) = match answer {
        VisitAnswer::Recorded { variant, first: First::Exposure, grant } => (variant, Basis::FirstExposure, grant),
        VisitAnswer::Recorded { variant, first: First::Known, grant } => (variant, Basis::Recorded, grant),
        VisitAnswer::NotEnrolled { variant } => (variant, Basis::NotEnrolled, None),
        VisitAnswer::Blocked { variant } => (variant, Basis::Blocked, None),
        VisitAnswer::Provisional { variant } => (variant, Basis::Provisional, None),
        VisitAnswer::Invalid(error) => return Err(error.into()),
    };
    Ok(Visited { variant, basis, grant: id.zip(grant) })
}

/// The hook's owner.
#[derive(Debug)]
pub struct Running {
    hook: Hook,
    stop: oneshot::Sender<()>,
    driver: JoinHandle<()>,
}

impl Running {
    /// Starts a hook on `store` and `client`. It needs a tokio runtime with time; it begins to open the store at once, and answers
    /// provisionally until that is done.
    ///
    /// # Errors
    /// Settings that do not fit together.
    pub fn start(config: Config, store: Store, client: Client) -> Result<Self, HookConfigError> {
        let Config { lineage, hook, known_max, waiting_max, shown } = config;
        let admission = Admission::new(lineage.clone(), hook.delivery.protections);
        let hook = machines::Hook::with_outbox(lineage, hook, Outputs::default())?;
        let (known, telemetry) = (Arc::new(Known::new(known_max)), Arc::new(Telemetry::new(shown)));
        let (visits, visiting) = mpsc::channel(waiting_max.max(1));
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let (told_state, store_state) = watch::channel(StoreState::Opening);
        let (stop, told) = oneshot::channel();
        let store = Arc::new(store);
        let weak = Arc::downgrade(&store);
        let parts = Parts {
            hook,
            store,
            client,
            known: Arc::clone(&known),
            telemetry: Arc::clone(&telemetry),
            visits: visiting,
            orders: ordered,
            store_state: told_state,
            stop: told,
        };
        let driver = tokio::spawn(Driver::new(parts).run());
        let shared = Shared { admission, known, telemetry, visits, orders, store: weak, store_state };
        let hook = Hook { shared: Arc::new(shared) };
        Ok(Self { hook, stop, driver })
    }

    /// The hook.
    pub const fn hook(&self) -> &Hook {
        &self.hook
    }

    /// Ends it: visits that wait are answered, new ones refused; requests under way are waited for, and what was claimed and
    /// not sent goes back to the store. Returns whether all that was done within `grace`; what was not, another process, or the
    /// next one, does when the leases have ended.
    pub async fn shut_down(self, grace: Duration) -> bool {
        let Self { hook: _, stop, driver } = self;
        let _ = stop.send(());
        timeout(grace, driver).await.is_ok()
    }
}
