//! Rows to records and back.

use std::collections::BTreeMap;

use hookproof_core::classify::{AnswerClass, Doubt, ParkReason};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::{GrantId, UserHandle};
use hookproof_core::store::rows::{GrantRecord, Head, UserRecord};
use hookproof_core::store::{ClaimNonce, Epoch, Evidence, Fence, Fleet, GrantState, LineageId, OpenGrant, VersionId};
use hookproof_core::time::WallTime;
use rusqlite::types::Type;
use rusqlite::{Row, Transaction, params};

use super::super::columns::{self, RECORD, epoch_at, first_sent, from_nanos, handle, nanos, open, place};
use super::super::commit::{Changes, Loaded, Outlived, claims_max, pending_claims_max, settled_max};
use super::super::{User, Work};

/// The rows that `work` may touch at `now`.
pub(super) fn load(transaction: &Transaction<'_>, work: &Work, now: WallTime) -> Result<Loaded, rusqlite::Error> {
    let mut loaded = Loaded::of(&work.users);
    let by_id = format!("SELECT {RECORD} FROM users WHERE user_id = ?1");
    let mut by_id = transaction.prepare_cached(&by_id)?;
    for user in &work.users {
        let mut rows = by_id.query([&*user.id])?;
        while let Some(row) = rows.next()? {
            add(&mut loaded, row)?;
        }
    }
    let (head, claimed) = read_head(transaction)?;
    let (claims, settled) = (claims_max(&work.commands), settled_max(&work.commands));
    // Each settlement gives back a place, and may raise the limit by one. A lease that has ended is taken over without a place.
    let room = u32::try_from(head.fleet.room(claimed)).unwrap_or(u32::MAX).saturating_add(2 * settled);
    load_due(&mut loaded, transaction, GrantState::Pending, pending_claims_max(&work.commands).min(room), now)?;
    load_due(&mut loaded, transaction, GrantState::Claimed, claims, now)?;
    let outlived = load_outlived(&mut loaded, transaction)?;
    loaded.set_head(Head { outlived, ..head }, claimed);
    Ok(loaded)
}

/// Of the grants in `state` whose users are not loaded, the first that are due at `now`, as many as `claims` may take and one, or else the
/// first that is not.
fn load_due(
    loaded: &mut Loaded,
    transaction: &Transaction<'_>,
    state: GrantState,
    claims: u32,
    now: WallTime,
) -> Result<(), rusqlite::Error> {
    let mut due = transaction.prepare_cached(&due(state))?;
    let mut rows = due.query([])?;
    let mut left = claims;
    while let Some(row) = rows.next()? {
        if loaded.has(row.get_ref(0)?.as_str()?) {
            continue;
        }
        add(loaded, row)?;
        if left == 0 || time(row, 7)? > now {
            break;
        }
        left -= 1;
    }
    Ok(())
}

/// The state stands in the text: whether an index of one state's rows will do depends on it, so SQLite prepares a statement anew each time
/// that a state is bound.
pub(super) fn due(state: GrantState) -> String {
    let state = state.name();
    format!("SELECT {RECORD} FROM users WHERE state = '{state}' AND due_at IS NOT NULL ORDER BY due_at, user_id")
}

/// Adds a row of [`RECORD`]. Returns its place.
fn add(loaded: &mut Loaded, row: &Row<'_>) -> Result<usize, rusqlite::Error> {
    let place = loaded.place(row.get_ref(0)?.as_str()?);
    let (user, record) = record(row, place)?;
    loaded.put(place, user, record);
    Ok(place)
}

/// But for what was outlived, with the number of claimed grants.
fn read_head(transaction: &Transaction<'_>) -> Result<(Head, u64), rusqlite::Error> {
    let store = "SELECT lineage, epoch, epoch_began_at, fleet_limit, max_in_flight, effects_per_minute, paused_until, \
                 minute_start, claimed_in_minute FROM store";
    let head = transaction.prepare_cached(store)?.query_row([], |row| {
        Ok(Head {
            lineage: row.get::<_, Option<[u8; 16]>>(0)?.map(LineageId),
            epoch: Epoch(row.get(1)?),
            epoch_began_at: time(row, 2)?,
            fleet: Fleet {
                limit: row.get(3)?,
                max_in_flight: row.get(4)?,
                effects_per_minute: row.get(5)?,
                paused_until: time(row, 6)?,
                minute_start: time(row, 7)?,
                claimed_in_minute: row.get(8)?,
            },
            ..Head::default()
        })
    })?;
    let mut versions = transaction.prepare_cached("SELECT version FROM versions")?;
    let versions = versions.query_map([], |row| row.get(0).map(VersionId))?.collect::<Result<_, _>>()?;
    let claimed = "SELECT count(*) FROM users WHERE state = 'claimed' AND due_at IS NOT NULL";
    let claimed: u64 = transaction.prepare_cached(claimed)?.query_row([], |row| row.get(0))?;
    Ok((Head { versions, ..head }, claimed))
}

fn load_outlived(loaded: &mut Loaded, transaction: &Transaction<'_>) -> Result<Outlived, rusqlite::Error> {
    let outlived = format!("SELECT {RECORD}, outlived_until FROM users WHERE outlived_until IS NOT NULL");
    let mut outlived = transaction.prepare_cached(&outlived)?;
    let mut rows = outlived.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let place = add(loaded, row)?;
        found.insert(handle(place), (fence(row)?, time(row, 19)?));
    }
    Ok(found)
}

/// Writes what has changed.
pub(super) fn save(
    loaded: &Loaded,
    transaction: &Transaction<'_>,
    now: WallTime,
    changes: Changes,
    users: &mut [User],
) -> Result<(), rusqlite::Error> {
    let Changes { head, inserted, updated } = changes;
    insert(transaction, now, inserted, users)?;
    for (user, record) in updated {
        update(transaction, now, &loaded.users[place(user)].id, record)?;
    }
    if let Some(head) = head {
        save_head(loaded, transaction, &head)?;
    }
    transaction.prepare_cached("UPDATE store SET clock = ?1")?.execute([nanos(now)])?;
    Ok(())
}

fn save_head(loaded: &Loaded, transaction: &Transaction<'_>, head: &Head) -> Result<(), rusqlite::Error> {
    if head.fleet != loaded.head.fleet || head.lineage != loaded.head.lineage {
        let Fleet { limit, max_in_flight, effects_per_minute, paused_until, minute_start, claimed_in_minute } =
            head.fleet;
        let store = "UPDATE store SET lineage = ?1, fleet_limit = ?2, max_in_flight = ?3, effects_per_minute = ?4, \
                     paused_until = ?5, minute_start = ?6, claimed_in_minute = ?7";
        transaction.prepare_cached(store)?.execute(params![
            head.lineage.map(|lineage| lineage.0),
            limit,
            max_in_flight,
            effects_per_minute,
            nanos(paused_until),
            nanos(minute_start),
            claimed_in_minute
        ])?;
    }
    for version in head.versions.difference(&loaded.head.versions) {
        transaction.prepare_cached("INSERT INTO versions VALUES (?1)")?.execute([version.0])?;
    }
    save_outlived(loaded, transaction, &head.outlived)
}

fn save_outlived(loaded: &Loaded, transaction: &Transaction<'_>, after: &Outlived) -> Result<(), rusqlite::Error> {
    // The claim may be of this very commit, and its row has only the one before.
    let begin =
        "UPDATE users SET outlived_until = ?2, fence_epoch = ?3, fence_claim = ?4, fence_nonce = ?5 WHERE user_id = ?1";
    for (user, (fence, until)) in after.iter().filter(|(user, claim)| loaded.head.outlived.get(user) != Some(claim)) {
        let (id, nonce) = (&*loaded.users[place(*user)].id, fence.nonce.0.cast_signed());
        let row = params![id, nanos(*until), fence.epoch.0, fence.claim, nonce];
        transaction.prepare_cached(begin)?.execute(row)?;
    }
    let end = "UPDATE users SET outlived_until = NULL WHERE user_id = ?1";
    for user in loaded.head.outlived.keys().filter(|user| !after.contains_key(user)) {
        transaction.prepare_cached(end)?.execute([&*loaded.users[place(*user)].id])?;
    }
    Ok(())
}

/// The store's time, no earlier than any that was given out.
pub(super) fn now(transaction: &Transaction<'_>, clock: WallTime) -> Result<WallTime, rusqlite::Error> {
    transaction.prepare_cached("SELECT clock FROM store")?.query_row([], |row| Ok(time(row, 0)?.max(clock)))
}

/// See [`hookproof_core::store::Image::begin_epoch`].
pub(super) fn begin_epoch(transaction: &Transaction<'_>, now: WallTime) -> Result<Epoch, rusqlite::Error> {
    let before: u32 = transaction.query_row("SELECT epoch FROM store", [], |row| row.get(0))?;
    let epoch = epoch_at(now, before);
    transaction.execute("UPDATE store SET epoch = ?1, epoch_began_at = ?2, clock = ?2", params![epoch, nanos(now)])?;
    let open = "UPDATE users SET in_doubt = 1, is_seen = 1, first_sent_at = 0, sent_until = max(sent_until, ?1) \
                WHERE state IN ('pending', 'claimed') AND due_at IS NOT NULL";
    transaction.execute(open, [nanos(now)])?;
    Ok(Epoch(epoch))
}

/// Writes users' first rows. A grant that is settled in the commit that makes it does not exist: a settlement names a claim.
fn insert(
    transaction: &Transaction<'_>,
    now: WallTime,
    inserted: Vec<(UserHandle, UserRecord)>,
    users: &mut [User],
) -> Result<(), rusqlite::Error> {
    if inserted.is_empty() {
        return Ok(());
    }
    let exposure =
        "INSERT INTO users (user_id, variant, generation, exposed_at, correlation) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut exposure = transaction.prepare_cached(exposure)?;
    let whole = "INSERT INTO users (user_id, variant, generation, exposed_at, correlation, changed_at, grant_id, units, state, \
                 due_at, first_sent_at, sent_until, fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    let mut whole = transaction.prepare_cached(whole)?;
    for (user, UserRecord { variant, generation, grant }) in inserted {
        let user = &mut users[place(user)];
        let open = grant.and_then(open);
        user.grant = open.map(|(_, open)| open.grant);
        let (id, correlation) = (&*user.id, user.correlation.as_deref());
        let Some((state, open)) = open else {
            exposure.execute(params![id, variant.index(), generation, nanos(now), correlation])?;
            continue;
        };
        whole.execute(params![
            id,
            variant.index(),
            generation,
            nanos(now),
            correlation,
            open.grant.as_bytes(),
            open.units,
            state.name(),
            nanos(open.due_at),
            first_sent(open.first_sent_at),
            nanos(open.sent_until),
            open.fence.epoch.0,
            open.fence.claim,
            open.fence.nonce.0.cast_signed(),
            open.attempts,
            open.doubt == Doubt::InDoubt,
            open.is_seen,
        ])?;
    }
    Ok(())
}

fn update(transaction: &Transaction<'_>, now: WallTime, id: &str, record: UserRecord) -> Result<(), rusqlite::Error> {
    let Some(grant) = record.grant else { return Ok(()) };
    let state = grant.state().name();
    match grant {
        GrantRecord::Pending(open) | GrantRecord::Claimed(open) => {
            let whole = "UPDATE users SET state = ?2, changed_at = ?3, due_at = ?4, first_sent_at = ?5, sent_until = ?6, \
                         fence_epoch = ?7, fence_claim = ?8, fence_nonce = ?9, attempts = ?10, in_doubt = ?11, is_seen = ?12 \
                         WHERE user_id = ?1";
            transaction.prepare_cached(whole)?.execute(params![
                id,
                state,
                nanos(now),
                nanos(open.due_at),
                first_sent(open.first_sent_at),
                nanos(open.sent_until),
                open.fence.epoch.0,
                open.fence.claim,
                open.fence.nonce.0.cast_signed(),
                open.attempts,
                open.doubt == Doubt::InDoubt,
                open.is_seen,
            ])?;
        }
        GrantRecord::Delivered | GrantRecord::Rejected => {
            let end = "UPDATE users SET state = ?2, changed_at = ?3, due_at = NULL WHERE user_id = ?1";
            transaction.prepare_cached(end)?.execute(params![id, state, nanos(now)])?;
        }
        GrantRecord::Parked(evidence) => {
            let park = "UPDATE users SET state = ?2, changed_at = ?3, due_at = NULL, park_reason = ?4, last_answer = ?5, \
                        sent_until = ?6 WHERE user_id = ?1";
            let (reason, answer) = (evidence.reason.name(), evidence.answer.map(AnswerClass::name));
            let sent_until = nanos(evidence.sent_until);
            transaction.prepare_cached(park)?.execute(params![id, state, nanos(now), reason, answer, sent_until])?;
        }
    }
    Ok(())
}

/// A row of [`RECORD`]; its user is at `place`.
pub(super) fn record(row: &Row<'_>, place: usize) -> Result<(User, UserRecord), rusqlite::Error> {
    let id = row.get::<_, Option<[u8; 16]>>(4)?.map(GrantId::from_bytes);
    let user = User { id: row.get(0)?, correlation: row.get(1)?, grant: id };
    let grant = match (id, row.get_ref(6)?.as_str_or_null()?) {
        (None, _) | (_, None) => None,
        (Some(id), Some(state)) => Some(grant(row, handle(place), id, state)?),
    };
    Ok((user, UserRecord { variant: VariantIndex::new(row.get(2)?), generation: row.get(3)?, grant }))
}

fn grant(row: &Row<'_>, user: UserHandle, grant: GrantId, state: &str) -> Result<GrantRecord, rusqlite::Error> {
    let state = known(6, state, GrantState::ALL, GrantState::name)?;
    let first_sent_at = row.get::<_, Option<i64>>(8)?.map_or(WallTime::MAX, from_nanos);
    let (sent_until, attempts) = (time(row, 9)?, row.get(13)?);
    Ok(match state {
        GrantState::Pending | GrantState::Claimed => {
            let open = OpenGrant {
                grant,
                user,
                units: row.get(5)?,
                due_at: time(row, 7)?,
                first_sent_at,
                sent_until,
                fence: fence(row)?,
                attempts,
                doubt: if row.get(14)? { Doubt::InDoubt } else { Doubt::Clear },
                is_seen: row.get(15)?,
            };
            if state == GrantState::Pending { GrantRecord::Pending(open) } else { GrantRecord::Claimed(open) }
        }
        GrantState::Delivered => GrantRecord::Delivered,
        GrantState::Rejected => GrantRecord::Rejected,
        GrantState::Parked => {
            let reason = known(16, row.get_ref(16)?.as_str()?, ParkReason::ALL, ParkReason::name)?;
            let answer = row.get_ref(17)?.as_str_or_null()?;
            let answer = answer.map(|name| known(17, name, AnswerClass::ALL, AnswerClass::name)).transpose()?;
            let parked_at = time(row, 18)?;
            let (units, fence) = (row.get(5)?, fence(row)?);
            GrantRecord::Parked(Evidence {
                grant,
                units,
                fence,
                reason,
                answer,
                attempts,
                first_sent_at,
                sent_until,
                parked_at,
            })
        }
    })
}

fn fence(row: &Row<'_>) -> Result<Fence, rusqlite::Error> {
    let nonce = ClaimNonce(row.get::<_, i64>(12)?.cast_unsigned());
    Ok(Fence { epoch: Epoch(row.get(10)?), claim: row.get(11)?, nonce })
}

fn time(row: &Row<'_>, column: usize) -> Result<WallTime, rusqlite::Error> {
    row.get(column).map(from_nanos)
}

/// See [`columns::known`].
fn known<T: Copy>(
    column: usize,
    name: &str,
    all: impl IntoIterator<Item = T>,
    name_of: impl Fn(T) -> &'static str,
) -> Result<T, rusqlite::Error> {
    let unknown = || rusqlite::Error::FromSqlConversionFailure(column, Type::Text, format!("unknown: {name}").into());
    columns::known(name, all, name_of).ok_or_else(unknown)
}
