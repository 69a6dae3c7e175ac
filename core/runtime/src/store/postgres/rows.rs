//! Rows to records and back.

use std::time::Duration;

use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::rows::{GrantRecord, Head, UserRecord};
use hookproof_core::store::{
    ClaimNonce, Command, Epoch, Evidence, Fence, Fleet, GrantState, LineageId, OpenGrant, VersionId,
};
use hookproof_core::time::WallTime;
use tokio::try_join;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Client, Row};

use super::super::columns::{self, first_sent, from_nanos, handle, nanos, open, place};
use super::super::commit::{Changes, Loaded, Outlived, claims_max, pending_claims_max};
use super::super::{Stored, User, Work};
use super::Failure;
use super::statements::Statements;

/// When to look again at a grant that is due and that somebody else has locked. A process that is stopped keeps its locks for two such times (`session.rs`).
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether `commands` may change grants or what the fleet shares. Admissions and lookups do not.
pub(super) fn concern_fleet(commands: &[Command]) -> bool {
    commands.iter().any(|command| match command {
        Command::Open(_) | Command::Claim(_) | Command::Settle(_) | Command::Resolve(_) => true,
        Command::Admit(_) | Command::Find(_) => false,
    })
}

/// The store's time: `fixed`, or what the server's clock says; no earlier than `floor`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) floor: WallTime,
    pub(super) fixed: Option<WallTime>,
}

/// Begins a transaction in which no epoch begins, and loads the rows that `work` may touch. Returns the store's time, too. Where `is_locking`, nobody else
/// may change these rows until it ends.
///
/// All statements are sent together and executed in their order, each on a snapshot of its own. The time is read after the named rows are
/// locked, so it is no earlier than any in them; what others make due meanwhile is not due by it. The first grant that is not due is read
/// before those that are, so that none falls between the two.
pub(super) async fn load(
    client: &Client,
    statements: &Statements,
    is_locking: bool,
    clock: Clock,
    work: &Work,
) -> Result<(Loaded, WallTime), Failure> {
    let mut ids: Vec<&str> = work.users.iter().map(|user| &*user.id).collect();
    ids.sort_unstable();
    let (claims, pending_claims) = (claims_max(&work.commands), pending_claims_max(&work.commands));
    let is_claiming = claims > 0;
    let (floor, fixed) = (nanos(clock.floor), clock.fixed.map(nanos));
    let named = if is_locking { &statements.named_locked } else { &statements.named };
    let named = async { if ids.is_empty() { Ok(Vec::new()) } else { client.query(named, &[&ids]).await } };
    let due = async |statement, claims: u32| {
        let claimable = i64::from(claims) + 1;
        if is_claiming { client.query(statement, &[&floor, &fixed, &ids, &claimable]).await } else { Ok(Vec::new()) }
    };
    let ((), _, named, head, next, pending, lapsed) = try_join!(
        biased;
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"),
        client.query(&statements.hold_epoch, &[]),
        named,
        async { client.query_one(&statements.head, &[&floor, &fixed]).await },
        async { client.query(&statements.next, &[&floor, &fixed, &ids, &is_claiming]).await },
        due(&statements.due_pending, pending_claims),
        due(&statements.due_claimed, claims),
    )?;
    let mut loaded = Loaded::of(&work.users);
    for row in named.iter().chain(&next).chain(&pending).chain(&lapsed) {
        put(&mut loaded, Columns(row), None)?;
    }
    let now = Columns(&head).time(HEAD_NOW)?;
    if is_claiming && (pending.len() as u64) <= u64::from(pending_claims) {
        // All that is due and not locked is loaded. What somebody else has locked may stay due: they may be about to end.
        let ids: Vec<&str> = loaded.users.iter().map(|user| &*user.id).collect();
        let locked = client.query(&statements.due_elsewhere, &[&floor, &fixed, &ids]).await?;
        for row in &locked {
            put(&mut loaded, Columns(row), Some(now + LOOK_AGAIN))?;
        }
    }
    set_head(client, statements, &mut loaded, &head).await?;
    Ok((loaded, now))
}

/// Adds a row of [`columns::RECORD`], if it was not loaded before; for this commit, its grant is due at `due_at` if one is given.
fn put(loaded: &mut Loaded, row: Columns<'_>, due_at: Option<WallTime>) -> Result<(), Failure> {
    let place = loaded.place(row.get::<&str>(0)?);
    let (user, mut record) = record(row, place)?;
    if let (Some(due_at), Some(GrantRecord::Pending(open) | GrantRecord::Claimed(open))) = (due_at, &mut record.grant) {
        open.due_at = due_at;
    }
    loaded.put(place, user, record);
    Ok(())
}

/// Writes the rows of `draft`, which is what `loaded` would become beside the fleet that was read; then locks the fleet's row, and puts the fleet that
/// it holds into `loaded`.
pub(super) async fn save_draft(
    client: &Client,
    statements: &Statements,
    clock: Clock,
    loaded: &mut Loaded,
    now: WallTime,
    draft: &Changes,
) -> Result<(), Failure> {
    let (floor, fixed) = (nanos(clock.floor), clock.fixed.map(nanos));
    let locked = async {
        let locked = try_join!(
            biased;
            client.query(&statements.lock_fleet, &[]),
            async { client.query_one(&statements.head, &[&floor, &fixed]).await },
        );
        Ok(locked?.1)
    };
    let ((), head) = try_join!(biased; save_rows(client, statements, loaded, now, draft), locked)?;
    set_head(client, statements, loaded, &head).await?;
    // Claims are counted by whole minutes: those of a minute that has ended elsewhere would be counted as the next one's.
    if loaded.head.fleet.minute_start > now { Err(Failure::Overtaken) } else { Ok(()) }
}

/// Whether anything is outlived, and the time, in a row of [`Statements::head`].
const HEAD_OUTLIVED: usize = 11;
const HEAD_NOW: usize = 12;

/// Puts a head into `loaded`.
async fn set_head(client: &Client, statements: &Statements, loaded: &mut Loaded, head: &Row) -> Result<(), Failure> {
    let head = Columns(head);
    let outlived = if head.get(HEAD_OUTLIVED)? { client.query(&statements.outlived, &[]).await? } else { Vec::new() };
    let mut claims = Outlived::new();
    for row in &outlived {
        let row = Columns(row);
        let user = loaded.place_or_new(row.get(0)?);
        claims.insert(handle(user), (fence(row, 1)?, row.time(4)?));
    }
    let (head, claimed) = head_of(head, claims)?;
    loaded.set_head(head, claimed);
    Ok(())
}

/// With the number of claimed grants.
fn head_of(row: Columns<'_>, outlived: Outlived) -> Result<(Head, u64), Failure> {
    let versions: Vec<&[u8]> = row.get(10)?;
    let versions = versions.into_iter().map(|version| bytes(version).map(VersionId));
    let head = Head {
        lineage: row.get::<Option<&[u8]>>(0)?.map(bytes).transpose()?.map(LineageId),
        epoch: Epoch(row.number(1)?),
        epoch_began_at: row.time(2)?,
        fleet: Fleet {
            limit: row.number(3)?,
            max_in_flight: row.number(4)?,
            effects_per_minute: row.number(5)?,
            paused_until: row.time(6)?,
            minute_start: row.time(7)?,
            claimed_in_minute: row.number(8)?,
        },
        versions: versions.collect::<Result<_, _>>()?,
        outlived,
        ..Head::default()
    };
    Ok((head, row.number(9)?))
}

/// Writes users whose row has changed.
pub(super) async fn save_rows(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    now: WallTime,
    changes: &Changes,
) -> Result<(), Failure> {
    let at = nanos(now);
    try_join!(
        biased;
        insert(client, statements, loaded, at, &changes.inserted),
        update_open(client, statements, loaded, at, &changes.updated),
        update_ended(client, statements, loaded, at, &changes.updated),
    )?;
    Ok(())
}

/// Writes what the fleet shares, and `corrections` of rows: of each kind one statement at most.
pub(super) async fn save_head(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    now: WallTime,
    head: Option<&Head>,
    corrections: &[(UserHandle, UserRecord)],
) -> Result<(), Failure> {
    let at = nanos(now);
    try_join!(
        biased;
        update_open(client, statements, loaded, at, corrections),
        update_ended(client, statements, loaded, at, corrections),
        update_head(client, statements, loaded, at, head),
    )?;
    Ok(())
}

/// Writes users' first rows. A grant that is settled in the commit that makes it does not exist: a settlement names a claim.
async fn insert(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    at: i64,
    inserted: &[(UserHandle, UserRecord)],
) -> Result<(), Failure> {
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
    let open = OpenColumns::of(grants.iter().copied());
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

/// The columns of open grants, one array each; a row without one has nulls.
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
    fn of(grants: impl IntoIterator<Item = Option<(GrantState, OpenGrant)>>) -> Self {
        let mut columns = Self::default();
        for grant in grants {
            let open = grant.map(|(_, open)| open);
            columns.state.push(grant.map(|(state, _)| state.name()));
            columns.due_at.push(open.map(|open| nanos(open.due_at)));
            columns.first_sent_at.push(open.and_then(|open| first_sent(open.first_sent_at)));
            columns.sent_until.push(open.map(|open| nanos(open.sent_until)));
            columns.fence_epoch.push(open.map(|open| i64::from(open.fence.epoch.0)));
            columns.fence_claim.push(open.map(|open| i64::from(open.fence.claim)));
            columns.fence_nonce.push(open.map(|open| open.fence.nonce.0.cast_signed()));
            columns.attempts.push(open.map(|open| i64::from(open.attempts)));
            columns.in_doubt.push(open.map(|open| open.doubt == Doubt::InDoubt));
            columns.is_seen.push(open.map(|open| open.is_seen));
        }
        columns
    }
}

async fn update_open(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    at: i64,
    updated: &[(UserHandle, UserRecord)],
) -> Result<(), Failure> {
    let grants = updated.iter().filter_map(|(user, record)| Some((*user, record.grant.and_then(open)?)));
    let (users, grants): (Vec<UserHandle>, Vec<_>) = grants.unzip();
    if users.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = users.iter().map(|user| &*loaded.users[place(*user)].id).collect();
    let open = OpenColumns::of(grants.into_iter().map(Some));
    let written = client
        .execute(
            &statements.update_open,
            &[
                &ids,
                &at,
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
    if written == users.len() as u64 { Ok(()) } else { Err(Failure::Overtaken) }
}

async fn update_ended(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    at: i64,
    updated: &[(UserHandle, UserRecord)],
) -> Result<(), Failure> {
    let (mut ids, mut states, mut reasons, mut answers, mut sent_until) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (user, record) in updated {
        let (grant, evidence) = match record.grant {
            None | Some(GrantRecord::Pending(_) | GrantRecord::Claimed(_)) => continue,
            Some(grant @ (GrantRecord::Delivered | GrantRecord::Rejected)) => (grant, None),
            Some(grant @ GrantRecord::Parked(evidence)) => (grant, Some(evidence)),
        };
        ids.push(&*loaded.users[place(*user)].id);
        states.push(grant.state().name());
        reasons.push(evidence.map(|evidence| evidence.reason.name()));
        answers.push(evidence.and_then(|evidence| evidence.answer).map(AnswerClass::name));
        sent_until.push(evidence.map(|evidence| nanos(evidence.sent_until)));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let written =
        client.execute(&statements.update_ended, &[&ids, &at, &states, &reasons, &answers, &sent_until]).await?;
    if written == ids.len() as u64 { Ok(()) } else { Err(Failure::Overtaken) }
}

async fn update_head(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    at: i64,
    head: Option<&Head>,
) -> Result<(), Failure> {
    let Some(head) = head else {
        client.execute(&statements.update_clock, &[&at]).await?;
        return Ok(());
    };
    let Fleet { limit, max_in_flight, effects_per_minute, paused_until, minute_start, claimed_in_minute } = head.fleet;
    let [limit, claimed_in_minute] = [limit, claimed_in_minute].map(i64::from);
    let claimed = i64::try_from(head.claimed_elsewhere).unwrap_or(i64::MAX);
    let (max_in_flight, effects_per_minute) = (i64::from(max_in_flight), i64::from(effects_per_minute));
    let [paused_until, minute_start] = [paused_until, minute_start].map(nanos);
    let lineage = head.lineage.as_ref().map(|lineage| &lineage.0[..]);
    let versions: Vec<&[u8]> = head.versions.difference(&loaded.head.versions).map(|version| &version.0[..]).collect();
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
            &claimed,
        ];
        client.execute(&statements.update_head, &row).await
    };
    try_join!(biased; fleet, versions)?;
    Ok(())
}

/// Rarely any. By who holds the fleet's row alone.
pub(super) async fn save_outlived(
    client: &Client,
    statements: &Statements,
    loaded: &Loaded,
    after: &Outlived,
) -> Result<(), Failure> {
    let id = |user: &UserHandle| &*loaded.users[place(*user)].id;
    for (user, (fence, until)) in after.iter().filter(|(user, claim)| loaded.head.outlived.get(user) != Some(claim)) {
        let (epoch, claim, nonce) = (i64::from(fence.epoch.0), i64::from(fence.claim), fence.nonce.0.cast_signed());
        client.execute(&statements.begin_outlived, &[&id(user), &nanos(*until), &epoch, &claim, &nonce]).await?;
    }
    for user in loaded.head.outlived.keys().filter(|user| !after.contains_key(user)) {
        client.execute(&statements.end_outlived, &[&id(user)]).await?;
    }
    Ok(())
}

/// What a row of a record says by itself.
pub(super) fn stored(row: &Row) -> Result<Stored, Failure> {
    let row = Columns(row);
    let (user, record) = record(row, 0)?;
    let units = row.get::<Option<i64>>(5)?.map(u32::try_from).transpose().map_err(|_| Failure::Damaged(5))?;
    Ok(Stored { user, record, units })
}

/// A row of [`columns::RECORD`]; its user is at `place`.
fn record(row: Columns<'_>, place: usize) -> Result<(User, UserRecord), Failure> {
    let id = row.get::<Option<&[u8]>>(4)?.map(bytes).transpose()?.map(GrantId::from_bytes);
    let correlation = row.get::<Option<&str>>(1)?.map(Into::into);
    let user = User { id: row.get::<&str>(0)?.into(), correlation, grant: id };
    let grant = match (id, row.get::<Option<&str>>(6)?) {
        (None, _) | (_, None) => None,
        (Some(id), Some(state)) => Some(grant(row, handle(place), id, state)?),
    };
    Ok((user, UserRecord { variant: VariantIndex::new(row.number(2)?), generation: row.number(3)?, grant }))
}

fn grant(row: Columns<'_>, user: UserHandle, grant: GrantId, state: &str) -> Result<GrantRecord, Failure> {
    let state = columns::known(state, GrantState::ALL, GrantState::name).ok_or(Failure::Damaged(6))?;
    let first_sent_at = row.time_if_any(8)?.unwrap_or(WallTime::MAX);
    let (sent_until, attempts) = (row.time(9)?, row.number(13)?);
    Ok(match state {
        GrantState::Pending | GrantState::Claimed => {
            let open = OpenGrant {
                grant,
                user,
                units: row.number(5)?,
                due_at: row.time(7)?,
                first_sent_at,
                sent_until,
                fence: fence(row, 10)?,
                attempts,
                doubt: if row.get(14)? { Doubt::InDoubt } else { Doubt::Clear },
                is_seen: row.get(15)?,
            };
            if state == GrantState::Pending { GrantRecord::Pending(open) } else { GrantRecord::Claimed(open) }
        }
        GrantState::Delivered => GrantRecord::Delivered,
        GrantState::Rejected => GrantRecord::Rejected,
        GrantState::Parked => {
            let reason = columns::known(row.get::<&str>(16)?, ParkReason::ALL, ParkReason::name);
            let answer = row.get::<Option<&str>>(17)?;
            let answer = answer
                .map(|name| columns::known(name, AnswerClass::ALL, AnswerClass::name).ok_or(Failure::Damaged(17)));
            GrantRecord::Parked(Evidence {
                grant,
                units: row.number(5)?,
                fence: fence(row, 10)?,
                reason: reason.ok_or(Failure::Damaged(16))?,
                answer: answer.transpose()?,
                attempts,
                first_sent_at,
                sent_until,
                parked_at: row.time(18)?,
            })
        }
    })
}

/// In three columns from `column` on.
fn fence(row: Columns<'_>, column: usize) -> Result<Fence, Failure> {
    let nonce = ClaimNonce(row.get::<i64>(column + 2)?.cast_unsigned());
    Ok(Fence { epoch: Epoch(row.number(column)?), claim: row.number(column + 1)?, nonce })
}

/// A row, by the places of its columns.
#[derive(Clone, Copy)]
struct Columns<'a>(&'a Row);

impl<'a> Columns<'a> {
    fn get<T: FromSql<'a>>(self, column: usize) -> Result<T, Failure> {
        Ok(self.0.try_get(column)?)
    }

    fn number<T: TryFrom<i64>>(self, column: usize) -> Result<T, Failure> {
        T::try_from(self.get(column)?).map_err(|_| Failure::Damaged(column))
    }

    fn time(self, column: usize) -> Result<WallTime, Failure> {
        self.get(column).map(from_nanos)
    }

    fn time_if_any(self, column: usize) -> Result<Option<WallTime>, Failure> {
        Ok(self.get::<Option<i64>>(column)?.map(from_nanos))
    }
}

fn bytes(bytes: &[u8]) -> Result<[u8; 16], Failure> {
    bytes.try_into().map_err(|_| Failure::Damaged(4))
}
