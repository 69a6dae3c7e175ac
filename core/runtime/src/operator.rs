//! What is asked of a running hook besides visits: what one would show, what became of a grant, which grants wait for a human, and that
//! human's word.
//!
//! Reads go to the store directly and hold up no commit. A human's word goes by the driver, whose store it is; what the word does to a grant,
//! [`Command::Resolve`](hookproof_core::store::Command::Resolve) defines.

use std::sync::Arc;

use hookproof_core::assignment::UserId;
use hookproof_core::identity::GrantId;
use hookproof_core::store::rows::GrantRecord;
use hookproof_core::store::{Admitted, First, Resolution};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::hook::{Basis, Hook, VisitError, Visited};
use crate::store::{Backlog, ParkedPlace, ReadError, Store, Stored};

/// What is known of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// It has not been opened yet.
    Opening,
    /// It is ours.
    Open,
    /// It belongs to another lineage, hash mode or secret: nothing is admitted or sent.
    Foreign,
}

/// A human's word about a parked grant, on its way to the driver.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) stored: Stored,
    pub(crate) grant: GrantId,
    pub(crate) resolution: Resolution,
    pub(crate) answer: oneshot::Sender<Result<(), ResolveError>>,
}

/// Why a parked grant was not resolved.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// No user has this grant.
    #[error("there is no such grant")]
    NoSuchGrant,
    /// It is in another state: a receipt has come, or somebody was faster.
    #[error("the grant is not parked")]
    NotParked,
    /// The store is not known to be this hook's.
    #[error("the store is not open")]
    NotOpen,
    /// The store did not take it; nothing has changed.
    #[error("the store refused; nothing has changed")]
    Refused,
    /// It may have been done; look at the grant.
    #[error("the store's answer was lost: look at the grant before you repeat it")]
    Unknown,
    /// The hook is shutting down; ask another instance.
    #[error("the hook is shutting down")]
    ShuttingDown,
    /// See there.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Hook {
    /// What is known of the store.
    pub fn store_state(&self) -> StoreState {
        *self.shared.store_state.borrow()
    }

    /// Whether it takes no more visits: it was told to end, or has failed.
    pub fn is_stopping(&self) -> bool {
        self.shared.orders.is_closed()
    }

    /// Waits until [`Hook::is_stopping`].
    pub async fn stopping(&self) {
        self.shared.orders.closed().await;
    }

    /// What a visit of the user would show. Nothing is recorded and nothing granted: who shows it to the user must visit as well.
    ///
    /// Without a record ([`Basis::Provisional`]) it is what all versions that are known agree on, else the baseline.
    ///
    /// # Errors
    /// The id cannot be assigned.
    pub async fn evaluate(&self, user_id: &str) -> Result<Visited, VisitError> {
        let id = UserId::new(user_id.as_bytes())?;
        if let Some(known) = self.known(user_id) {
            return Ok(known);
        }
        let stored = match self.store() {
            Ok(store) => store.record(user_id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &stored {
            tracing::warn!(%error, "evaluated without a look into the store");
        }
        if let Ok(Some(Stored { user, record, .. })) = stored {
            let grant = record.grant.map(GrantRecord::state);
            let (variant, generation) = (record.variant, record.generation);
            let found = Admitted { variant, first: First::Known, generation, grant };
            return self.recorded(found, user.grant);
        }
        let assignment = self.lineage().current().assign(id);
        let variant = self.lineage().provisional(id, assignment);
        let basis = if assignment.enrolled { Basis::Provisional } else { Basis::NotEnrolled };
        Ok(Visited { variant, basis, grant: None })
    }

    /// The record of the user who has the grant.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn grant(&self, id: GrantId) -> Result<Option<Stored>, ReadError> {
        self.store()?.grant(id).await
    }

    /// The first `limit` grants that wait for a human, the one that was parked first before the others, or those `after` a place in the
    /// list.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn parked(&self, after: Option<ParkedPlace>, limit: u16) -> Result<Vec<Stored>, ReadError> {
        self.store()?.parked(after, limit).await
    }

    /// How many grants are in the states that do not last.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn backlog(&self) -> Result<Backlog, ReadError> {
        self.store()?.backlog().await
    }

    /// Ends a parked grant, or makes it due again under the rules.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, grant: GrantId, resolution: Resolution) -> Result<(), ResolveError> {
        match self.store_state() {
            StoreState::Open => {}
            StoreState::Opening | StoreState::Foreign => return Err(ResolveError::NotOpen),
        }
        let stored = self.grant(grant).await?.ok_or(ResolveError::NoSuchGrant)?;
        let (answer, wait) = oneshot::channel();
        let order = Order { stored, grant, resolution, answer };
        self.shared.orders.send(order).await.map_err(|_| ResolveError::ShuttingDown)?;
        // A driver that ends before it has taken the order drops it; one that has taken it answers.
        wait.await.unwrap_or(Err(ResolveError::ShuttingDown))
    }

    fn store(&self) -> Result<Arc<Store>, ReadError> {
        self.shared.store.upgrade().ok_or(ReadError::Closed)
    }
}
