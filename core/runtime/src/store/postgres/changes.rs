//! What a commit has changed, to rows.
//!
//! Rows that become alike (grants that are claimed for the first time, together; grants that are delivered) are written by one statement that names
//! where they stand; others by one that is given an array for each column. Neither time nor chance enters.

use hookproof_core::classify::{AnswerClass, Doubt};
use hookproof_core::identity::UserHandle;
use hookproof_core::store::rows::{GrantRecord, Head, UserRecord};
use hookproof_core::store::{Fleet, GrantState, OpenGrant};
use hookproof_core::time::WallTime;
use tokio::try_join;
use tokio_postgres::types::ToSql;

use super::super::User;
use super::super::columns::{first_sent, nanos, open, place};
use super::super::commit::{Changes, Loaded, Outlived};
use super::Failure;
use super::locked::{Locked, Tid};
use super::rows::{self, Clock};
use super::session::Session;

/// Writes what commits have changed.
#[derive(Clone, Copy)]
pub(super) struct Writer<'c> {
    pub(super) session: &'c Session,
    /// The store's time.
    pub(super) now: WallTime,
}

impl Writer<'_> {
    /// Writes the rows of `draft`, which is what `loaded` would become beside the fleet that was read; then locks the fleet's row, and puts the fleet
    /// that it holds into `loaded`.
    pub(super) async fn save_draft(
        self,
        clock: Clock,
        loaded: &mut Loaded,
        locked: &Locked,
        draft: &Changes,
    ) -> Result<(), Failure> {
        let Session { client, statements, .. } = self.session;
        let (floor, fixed) = (nanos(clock.floor), clock.fixed.map(nanos));
        let (.., head) = try_join!(
            biased;
            self.save_rows(loaded, locked, draft),
            async { Ok(client.query(&statements.lock_fleet, &[]).await?) },
            async { Ok(client.query_one(&statements.head, &[&floor, &fixed]).await?) },
        )?;
        rows::set_head(client, statements, loaded, &head).await?;
        // Claims are counted by whole minutes: those of a minute that has ended elsewhere would be counted as the next one's.
        if loaded.head.fleet.minute_start > self.now { Err(Failure::Overtaken) } else { Ok(()) }
    }

    /// Writes users whose row has changed.
    pub(super) async fn save_rows(self, loaded: &Loaded, locked: &Locked, changes: &Changes) -> Result<(), Failure> {
        try_join!(
            biased;
            self.insert(loaded, &changes.inserted),
            self.update_open(loaded, locked, &changes.updated),
            self.update_ended(loaded, locked, &changes.updated),
        )?;
        Ok(())
    }

    /// Writes what the fleet shares, and `corrections` of rows: of each kind one statement at most.
    pub(super) async fn save_head(
        self,
        loaded: &Loaded,
        head: Option<&Head>,
        corrections: &[(UserHandle, UserRecord)],
    ) -> Result<(), Failure> {
        // The draft has moved them.
        let nowhere = Locked::default();
        try_join!(
            biased;
            self.update_open(loaded, &nowhere, corrections),
            self.update_ended(loaded, &nowhere, corrections),
            self.update_head(loaded, head),
        )?;
        Ok(())
    }

    /// Writes users' first rows. A grant that is settled in the commit that makes it does not exist: a settlement names a claim.
    async fn insert(self, loaded: &Loaded, inserted: &[(UserHandle, UserRecord)]) -> Result<(), Failure> {
        let Session { client, statements, .. } = self.session;
        let at = nanos(self.now);
        if inserted.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<(&User, &UserRecord)> =
            inserted.iter().map(|(user, record)| (&loaded.users[place(*user)], record)).collect();
        // Two processes that admit the same users wait for each other in the same order, so neither waits for ever.
        rows.sort_unstable_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let records = || rows.iter().map(|(_, record)| record);
        let ids: Vec<&str> = rows.iter().map(|(user, _)| &*user.id).collect();
        // A text of PostgreSQL's has no NUL.
        let correlations: Vec<Option<String>> =
            rows.iter().map(|(user, _)| user.correlation.as_ref().map(|text| text.replace('\0', "\u{fffd}"))).collect();
        let variants: Vec<i64> =
            records().map(|record| i64::try_from(record.variant.index()).unwrap_or(i64::MAX)).collect();
        let generations: Vec<i64> = records().map(|record| i64::from(record.generation)).collect();
        let grants: Vec<_> = records().map(|record| record.grant.and_then(open)).collect();
        let grant_ids: Vec<Option<&[u8]>> =
            grants.iter().map(|grant| grant.as_ref().map(|(_, open)| &open.grant.as_bytes()[..])).collect();
        let units: Vec<Option<i64>> = grants.iter().map(|grant| grant.map(|(_, open)| i64::from(open.units))).collect();
        let open = OpenColumns::of(grants.iter().map(|grant| grant.map(OpenRow::of)));
        let written = client
            .query_one(
                &statements.insert,
                &[
                    &ids,
                    &correlations,
                    &variants,
                    &generations,
                    &at,
                    &grant_ids,
                    &units,
                    &open.state,
                    &open.due_at,
                    &open.first_sent_at,
                    &open.sent_until,
                    &open.fence_epoch,
                    &open.fence_claim,
                    &open.fence_nonce,
                    &open.attempts,
                    &open.in_doubt,
                    &open.is_seen,
                ],
            )
            .await?;
        let written: i64 = written.try_get(0)?;
        if written.unsigned_abs() == rows.len() as u64 { Ok(()) } else { Err(Failure::Overtaken) }
    }

    async fn update_open(
        self,
        loaded: &Loaded,
        locked: &Locked,
        updated: &[(UserHandle, UserRecord)],
    ) -> Result<(), Failure> {
        let grant =
            |(user, record): &(UserHandle, UserRecord)| Some((OpenRow::of(record.grant.and_then(open)?), *user));
        let mut rows: Vec<(OpenRow, UserHandle)> = updated.iter().filter_map(grant).collect();
        rows.sort_unstable_by_key(|(row, _)| *row);
        let most = rows.chunk_by(|(a, _), (b, _)| a == b).max_by_key(|alike| alike.len());
        let tids = most.and_then(|alike| alike.iter().map(|(_, user)| locked.of(*user)).collect::<Option<Vec<Tid>>>());
        let alike = most.and_then(<[_]>::first).map(|(row, _)| *row).zip(tids);
        let others =
            rows.iter().filter(|(row, _)| alike.as_ref().is_none_or(|(alike, _)| alike != row)).copied().collect();
        let written = try_join!(biased; self.update_alike(alike), self.update_others(loaded, others))?;
        if written.0 + written.1 == rows.len() as u64 { Ok(()) } else { Err(Failure::Overtaken) }
    }

    async fn update_alike(self, alike: Option<(OpenRow, Vec<Tid>)>) -> Result<u64, Failure> {
        let Some((row, tids)) = alike else { return Ok(0) };
        let Session { client, statements, .. } = self.session;
        let columns: [&(dyn ToSql + Sync); 12] = [
            &tids,
            &nanos(self.now),
            &row.state,
            &row.due_at,
            &row.first_sent_at,
            &row.sent_until,
            &row.fence_epoch,
            &row.fence_claim,
            &row.fence_nonce,
            &row.attempts,
            &row.in_doubt,
            &row.is_seen,
        ];
        Ok(client.execute(&statements.update_alike, &columns).await?)
    }

    async fn update_others(self, loaded: &Loaded, others: Vec<(OpenRow, UserHandle)>) -> Result<u64, Failure> {
        if others.is_empty() {
            return Ok(0);
        }
        let Session { client, statements, .. } = self.session;
        let ids: Vec<&str> = others.iter().map(|(_, user)| &*loaded.users[place(*user)].id).collect();
        let open = OpenColumns::of(others.iter().map(|(row, _)| Some(*row)));
        let columns: [&(dyn ToSql + Sync); 12] = [
            &ids,
            &nanos(self.now),
            &open.state,
            &open.due_at,
            &open.first_sent_at,
            &open.sent_until,
            &open.fence_epoch,
            &open.fence_claim,
            &open.fence_nonce,
            &open.attempts,
            &open.in_doubt,
            &open.is_seen,
        ];
        Ok(client.execute(&statements.update_open, &columns).await?)
    }

    async fn update_ended(
        self,
        loaded: &Loaded,
        locked: &Locked,
        updated: &[(UserHandle, UserRecord)],
    ) -> Result<(), Failure> {
        let Session { client, statements, .. } = self.session;
        let at = nanos(self.now);
        let mut delivered: Vec<Tid> = Vec::new();
        let (mut ids, mut states, mut reasons, mut answers, mut sent_until) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (user, record) in updated {
            let (grant, evidence) = match record.grant {
                None | Some(GrantRecord::Pending(_) | GrantRecord::Claimed(_)) => continue,
                Some(grant @ (GrantRecord::Delivered | GrantRecord::Rejected)) => (grant, None),
                Some(grant @ GrantRecord::Parked(evidence)) => (grant, Some(evidence)),
            };
            if let (GrantRecord::Delivered, Some(tid)) = (grant, locked.of(*user)) {
                delivered.push(tid);
                continue;
            }
            ids.push(&*loaded.users[place(*user)].id);
            states.push(grant.state().name());
            reasons.push(evidence.map(|evidence| evidence.reason.name()));
            answers.push(evidence.and_then(|evidence| evidence.answer).map(AnswerClass::name));
            sent_until.push(evidence.map(|evidence| nanos(evidence.sent_until)));
        }
        let written = try_join!(
            biased;
            async {
                if delivered.is_empty() { Ok(0) } else { client.execute(&statements.deliver, &[&delivered, &at]).await }
            },
            async {
                let columns: [&(dyn ToSql + Sync); 6] = [&ids, &at, &states, &reasons, &answers, &sent_until];
                if ids.is_empty() { Ok(0) } else { client.execute(&statements.update_ended, &columns).await }
            },
        )?;
        if written == (delivered.len() as u64, ids.len() as u64) { Ok(()) } else { Err(Failure::Overtaken) }
    }

    async fn update_head(self, loaded: &Loaded, head: Option<&Head>) -> Result<(), Failure> {
        let Session { client, statements, .. } = self.session;
        let at = nanos(self.now);
        let Some(head) = head else {
            client.execute(&statements.update_clock, &[&at]).await?;
            return Ok(());
        };
        let Fleet { limit, max_in_flight, effects_per_minute, paused_until, minute_start, claimed_in_minute } =
            head.fleet;
        let [limit, claimed_in_minute] = [limit, claimed_in_minute].map(i64::from);
        let claimed_more = loaded.claimed_more(head);
        let (max_in_flight, effects_per_minute) = (i64::from(max_in_flight), i64::from(effects_per_minute));
        let [paused_until, minute_start] = [paused_until, minute_start].map(nanos);
        let lineage = head.lineage.as_ref().map(|lineage| &lineage.0[..]);
        let versions: Vec<&[u8]> =
            head.versions.difference(&loaded.head.versions).map(|version| &version.0[..]).collect();
        let versions = async {
            if versions.is_empty() { Ok(0) } else { client.execute(&statements.insert_versions, &[&versions]).await }
        };
        let fleet = async {
            let row: [&(dyn ToSql + Sync); 9] = [
                &at,
                &lineage,
                &limit,
                &max_in_flight,
                &effects_per_minute,
                &paused_until,
                &minute_start,
                &claimed_in_minute,
                &claimed_more,
            ];
            client.execute(&statements.update_head, &row).await
        };
        try_join!(biased; fleet, versions)?;
        Ok(())
    }

    /// Rarely any. By who holds the fleet's row alone.
    pub(super) async fn save_outlived(self, loaded: &Loaded, after: &Outlived) -> Result<(), Failure> {
        let Session { client, statements, .. } = self.session;
        let id = |user: &UserHandle| &*loaded.users[place(*user)].id;
        for (user, (fence, until)) in after.iter().filter(|(user, claim)| loaded.head.outlived.get(user) != Some(claim))
        {
            let (epoch, claim, nonce) = (i64::from(fence.epoch.0), i64::from(fence.claim), fence.nonce.0.cast_signed());
            client.execute(&statements.begin_outlived, &[&id(user), &nanos(*until), &epoch, &claim, &nonce]).await?;
        }
        for user in loaded.head.outlived.keys().filter(|user| !after.contains_key(user)) {
            client.execute(&statements.end_outlived, &[&id(user)]).await?;
        }
        Ok(())
    }
}

/// What is written of an open grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OpenRow {
    state: &'static str,
    due_at: i64,
    first_sent_at: Option<i64>,
    sent_until: i64,
    fence_epoch: i64,
    fence_claim: i64,
    fence_nonce: i64,
    attempts: i64,
    in_doubt: bool,
    is_seen: bool,
}

impl OpenRow {
    fn of((state, open): (GrantState, OpenGrant)) -> Self {
        Self {
            state: state.name(),
            due_at: nanos(open.due_at),
            first_sent_at: first_sent(open.first_sent_at),
            sent_until: nanos(open.sent_until),
            fence_epoch: i64::from(open.fence.epoch.0),
            fence_claim: i64::from(open.fence.claim),
            fence_nonce: open.fence.nonce.0.cast_signed(),
            attempts: i64::from(open.attempts),
            in_doubt: open.doubt == Doubt::InDoubt,
            is_seen: open.is_seen,
        }
    }
}

/// The same, one array each; a row without a grant has nulls.
#[derive(Debug, Default)]
struct OpenColumns {
    state: Vec<Option<&'static str>>,
    due_at: Vec<Option<i64>>,
    first_sent_at: Vec<Option<i64>>,
    sent_until: Vec<Option<i64>>,
    fence_epoch: Vec<Option<i64>>,
    fence_claim: Vec<Option<i64>>,
    fence_nonce: Vec<Option<i64>>,
    attempts: Vec<Option<i64>>,
    in_doubt: Vec<Option<bool>>,
    is_seen: Vec<Option<bool>>,
}

impl OpenColumns {
    fn of(rows: impl IntoIterator<Item = Option<OpenRow>>) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.state.push(row.map(|row| row.state));
            columns.due_at.push(row.map(|row| row.due_at));
            columns.first_sent_at.push(row.and_then(|row| row.first_sent_at));
            columns.sent_until.push(row.map(|row| row.sent_until));
            columns.fence_epoch.push(row.map(|row| row.fence_epoch));
            columns.fence_claim.push(row.map(|row| row.fence_claim));
            columns.fence_nonce.push(row.map(|row| row.fence_nonce));
            columns.attempts.push(row.map(|row| row.attempts));
            columns.in_doubt.push(row.map(|row| row.in_doubt));
            columns.is_seen.push(row.map(|row| row.is_seen));
        }
        columns
    }
}
