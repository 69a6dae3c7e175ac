//! One try of a commit, in one transaction.

use hookproof_core::identity::UserHandle;
use hookproof_core::store::Reply;
use hookproof_core::store::rows::UserRecord;
use hookproof_core::time::WallTime;
use tokio::join;

use super::super::Work;
use super::super::commit::{Changes, Loaded, Places};
use super::Failure;
use super::changes::Writer;
use super::locked::Locked;
use super::rows::{self, Clock};
use super::session::Session;
use crate::failpoint;

/// How far a commit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// COMMIT was not sent, or the server has said that it rolled back.
    Open,
    /// COMMIT may have been sent.
    Sent,
}

/// A commit that has not begun.
pub(super) struct Attempt<'c> {
    pub(super) session: &'c Session,
    pub(super) work: &'c Work,
    pub(super) clock: Clock,
    pub(super) places: Places,
    pub(super) progress: &'c mut Progress,
}

/// A commit that is done.
pub(super) struct Committed {
    pub(super) reply: Reply,
    pub(super) loaded: Loaded,
    pub(super) now: WallTime,
    pub(super) inserted: Vec<(UserHandle, UserRecord)>,
}

impl Attempt<'_> {
    pub(super) async fn run(mut self) -> Result<Committed, Failure> {
        let Session { client, statements, .. } = self.session;
        failpoint::at(self.places.begin);
        let is_fleets = rows::concern_fleet(&self.work.commands);
        let (mut loaded, locked, now) = rows::load(client, statements, is_fleets, self.clock, self.work).await?;
        let (mut reply, mut changes) = loaded.execute(now, self.work.commands.clone());
        if changes.is_empty() {
            client.batch_execute("ROLLBACK").await?;
            if is_fleets {
                // It has read what may not be on the disk yet.
                self.flush().await?;
            }
        } else if is_fleets {
            (reply, changes) = self.settle(&mut loaded, &locked, now, &changes).await?;
        } else {
            self.admit(&loaded, &locked, now, &changes).await?;
        }
        Ok(Committed { reply, loaded, now, inserted: changes.inserted })
    }

    /// Writes users' first rows.
    async fn admit(
        &mut self,
        loaded: &Loaded,
        locked: &Locked,
        now: WallTime,
        changes: &Changes,
    ) -> Result<(), Failure> {
        let session = self.session;
        assert!(changes.head.is_none(), "LOAD-1: the fleet's row is changed by who holds it");
        Writer { session, now }.save_rows(loaded, locked, changes).await?;
        failpoint::at(self.places.written);
        *self.progress = Progress::Sent;
        session.client.batch_execute("COMMIT").await?;
        failpoint::at(self.places.durable);
        Ok(())
    }

    /// Writes `draft`, takes the fleet's row, and writes what has become of the draft beside the fleet as it is now.
    async fn settle(
        &mut self,
        loaded: &mut Loaded,
        locked: &Locked,
        now: WallTime,
        draft: &Changes,
    ) -> Result<(Reply, Changes), Failure> {
        let writer = Writer { session: self.session, now };
        writer.save_draft(self.clock, loaded, locked, draft).await?;
        let (reply, changes) = loaded.execute(now, self.work.commands.clone());
        let corrections = loaded.corrections(draft, &changes);
        if let Some(head) = &changes.head {
            writer.save_outlived(loaded, &head.outlived).await?;
        }
        failpoint::at(self.places.written);
        *self.progress = Progress::Sent;
        // What no visit is answered from need not be on the disk before others see it.
        let is_early = changes.inserted.is_empty();
        let commit = if is_early { "SET LOCAL synchronous_commit TO off; COMMIT" } else { "COMMIT" };
        let (saved, committed, flushed) = join!(
            biased;
            writer.save_head(loaded, changes.head.as_ref(), &corrections),
            self.session.client.batch_execute(commit),
            async { if is_early { self.flush().await } else { Ok(()) } },
        );
        if let Err(Failure::Postgres(error)) = &saved
            && error.as_db_error().is_some()
        {
            // A COMMIT after a statement that failed rolls back.
            *self.progress = Progress::Open;
        }
        saved?;
        committed?;
        flushed?;
        failpoint::at(self.places.durable);
        Ok((reply, changes))
    }

    /// Waits until everything committed before is on the disk: a transaction of its own, which this one waits for, is later in the log.
    async fn flush(&self) -> Result<(), tokio_postgres::Error> {
        if !failpoint::skips("flush") {
            self.session.client.query_one(&self.session.statements.flush, &[]).await?;
        }
        Ok(())
    }
}
