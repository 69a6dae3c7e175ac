//! Rows to records.

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
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Row};

use super::super::columns::{self, from_nanos, handle, nanos};
use super::super::commit::{Loaded, Outlived, claims_max, pending_claims_max};
use super::super::{Stored, User, Work};
use super::Failure;
use super::locked::Locked;
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

/// Begins a transaction in which no epoch begins, and loads the rows that `work` may touch. Returns which of them are locked, and the store's time, too.
/// Where `is_locking`, nobody else may change the rows that `work` may until it ends.
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
) -> Result<(Loaded, Locked, WallTime), Failure> {
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
    let (mut loaded, mut locked) = (Loaded::of(&work.users), Locked::default());
    for row in named.iter().chain(&pending).chain(&lapsed) {
        let place = put(&mut loaded, Columns(row), None)?;
        if is_locking {
            locked.put(place, Columns(row).get(TID)?);
        }
    }
    for row in &next {
        put(&mut loaded, Columns(row), None)?;
    }
    let now = Columns(&head).time(HEAD_NOW)?;
    if is_claiming && (pending.len() as u64) <= u64::from(pending_claims) {
        // All that is due and not locked is loaded. What somebody else has locked may stay due: they may be about to end.
        let ids: Vec<&str> = loaded.users.iter().map(|user| &*user.id).collect();
        let elsewhere = client.query(&statements.due_elsewhere, &[&floor, &fixed, &ids]).await?;
        for row in &elsewhere {
            put(&mut loaded, Columns(row), Some(now + LOOK_AGAIN))?;
        }
    }
    set_head(client, statements, &mut loaded, &head).await?;
    Ok((loaded, locked, now))
}

/// The column of where it stands, in a row that was read to be changed, after those of [`columns::RECORD`].
const TID: usize = 19;

/// Adds a row of [`columns::RECORD`], if it was not loaded before, and returns its place; for this commit, its grant is due at `due_at` if one is given.
fn put(loaded: &mut Loaded, row: Columns<'_>, due_at: Option<WallTime>) -> Result<usize, Failure> {
    let place = loaded.place(row.get::<&str>(0)?);
    let (user, mut record) = record(row, place)?;
    if let (Some(due_at), Some(GrantRecord::Pending(open) | GrantRecord::Claimed(open))) = (due_at, &mut record.grant) {
        open.due_at = due_at;
    }
    loaded.put(place, user, record);
    Ok(place)
}

/// Whether anything is outlived, and the time, in a row of [`Statements::head`].
const HEAD_OUTLIVED: usize = 11;
const HEAD_NOW: usize = 12;

/// Puts a head into `loaded`.
pub(super) async fn set_head(
    client: &Client,
    statements: &Statements,
    loaded: &mut Loaded,
    head: &Row,
) -> Result<(), Failure> {
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
