//! The statements of a commit, prepared once for each connection.

use tokio::try_join;
use tokio_postgres::{Client, Error, Statement};

use super::super::columns::RECORD;

/// The store's time, evaluated once in a statement whose first two parameters are a `rows::Clock`.
const NOW: &str = "(SELECT greatest(clock, $1::bigint, coalesce($2::bigint, \
                   (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint)) FROM store)";
/// The numbers of transactions under way, and the next few: those that begin while the statement runs.
const UNDER_WAY: &str = "(SELECT ARRAY(SELECT txid_snapshot_xip(seen) UNION ALL SELECT txid_snapshot_xmax(seen) + generate_series(0, 15)) \
                         FROM txid_current_snapshot() AS seen)::bigint[]";
/// The parts of the advisory lock that commits share and that beginning an epoch takes alone: ours, and the schema.
pub(super) const EPOCH_LOCK: &str = "1212895302, hashtext(current_schema())";

/// See the module.
pub(super) struct Statements {
    pub(super) hold_epoch: Statement,
    pub(super) lock_fleet: Statement,
    pub(super) head: Statement,
    pub(super) outlived: Statement,
    pub(super) named: Statement,
    /// The same, and nobody else may change them.
    pub(super) named_locked: Statement,
    /// The first grants that no claim takes.
    pub(super) next: Statement,
    pub(super) due_pending: Statement,
    pub(super) due_claimed: Statement,
    /// The first grant of either kind that is due and not loaded: somebody else has locked it.
    pub(super) due_elsewhere: Statement,
    pub(super) insert: Statement,
    /// Of open grants that become alike.
    pub(super) update_alike: Statement,
    pub(super) update_open: Statement,
    pub(super) deliver: Statement,
    pub(super) update_ended: Statement,
    pub(super) update_head: Statement,
    pub(super) update_clock: Statement,
    pub(super) insert_versions: Statement,
    pub(super) begin_outlived: Statement,
    pub(super) end_outlived: Statement,
    /// A transaction that leaves a record in the log and nothing else: when it is on the disk, all before it are.
    pub(super) flush: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let lock = format!("SELECT pg_advisory_xact_lock_shared({EPOCH_LOCK})");
        let named = format!("SELECT {RECORD} FROM users WHERE user_id = ANY($1)");
        // Always in the same order, so that nobody waits for ever.
        let named_locked =
            format!("SELECT {RECORD}, ctid FROM users WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE");
        let (head, next, due_pending, due_claimed) = (head(), next(), due("pending"), due("claimed"));
        let (hold_epoch, lock_fleet, head, outlived, named, named_locked, next, due_pending, due_claimed) = try_join!(
            client.prepare(&lock),
            client.prepare("SELECT 1 FROM store FOR UPDATE"),
            client.prepare(&head),
            client.prepare("SELECT user_id, fence_epoch, fence_claim, fence_nonce, until FROM outlived"),
            client.prepare(&named),
            client.prepare(&named_locked),
            client.prepare(&next),
            client.prepare(&due_pending),
            client.prepare(&due_claimed),
        )?;
        let due_elsewhere = client.prepare(&due_elsewhere()).await?;
        let (insert, update_alike, update_open, deliver, update_ended, update_head, update_clock) = try_join!(
            client.prepare(INSERT),
            client.prepare(UPDATE_ALIKE),
            client.prepare(UPDATE_OPEN),
            client.prepare("UPDATE users SET state = 'delivered', changed_at = $2, due_at = NULL WHERE ctid = ANY($1)"),
            client.prepare(UPDATE_ENDED),
            client.prepare(UPDATE_HEAD),
            client.prepare("UPDATE store SET clock = greatest(clock, $1)"),
        )?;
        let (insert_versions, begin_outlived, end_outlived, flush) = try_join!(
            client.prepare("INSERT INTO versions SELECT unnest($1::bytea[])"),
            client.prepare(BEGIN_OUTLIVED),
            client.prepare("DELETE FROM outlived WHERE user_id = $1"),
            client.prepare(FLUSH),
        )?;
        Ok(Self {
            hold_epoch,
            lock_fleet,
            head,
            outlived,
            named,
            named_locked,
            next,
            due_pending,
            due_claimed,
            due_elsewhere,
            insert,
            update_alike,
            update_open,
            deliver,
            update_ended,
            update_head,
            update_clock,
            insert_versions,
            begin_outlived,
            end_outlived,
            flush,
        })
    }
}

fn head() -> String {
    format!(
        "SELECT lineage, epoch, epoch_began_at, fleet_limit, max_in_flight, effects_per_minute, paused_until, minute_start, \
                claimed_in_minute, claimed, \
                ARRAY(SELECT version FROM versions), \
                EXISTS (SELECT FROM outlived), \
                {NOW} \
         FROM store"
    )
}

/// The first grant of either kind that no claim takes ($4: whether one would take those that are due).
fn next() -> String {
    let first = |state: &str| {
        format!(
            "(SELECT {RECORD} FROM users WHERE state = '{state}' AND due_at > (SELECT CASE WHEN $4 THEN {NOW} ELSE -1 END) \
              AND user_id NOT IN (SELECT unnest($3::text[])) ORDER BY due_at LIMIT 1)"
        )
    };
    let (pending, claimed) = (first("pending"), first("claimed"));
    format!("{pending} UNION ALL {claimed}")
}

/// Grants that are due, overdue longest first; nobody else may change them then. What another process is about to claim or to settle is left to
/// it, and what a human has locked is left for later.
///
/// A row that names a transaction under way as the last one to lock it is not tried: to fail at the lock takes longer than to
/// look, and each process that claims at the same time may have a hundred such rows at the head of the queue. To try one in vain does no harm: where the
/// server has counted more than 2^32 transactions, `xmax` is without the upper half of its number, and all rows are tried. Not to try one that nobody has
/// locked would leave a grant behind: `xmax` may be the number of a group of lockers, which says nothing, so only the very numbers of
/// [`UNDER_WAY`] count.
fn due(state: &str) -> String {
    format!(
        "SELECT {RECORD}, ctid FROM users WHERE state = '{state}' AND due_at <= {NOW} AND user_id NOT IN (SELECT unnest($3::text[])) \
         AND (xmax = '0'::xid OR xmax::text::bigint <> ALL ({UNDER_WAY})) \
         ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED"
    )
}

fn due_elsewhere() -> String {
    let first = |state: &str| {
        format!(
            "(SELECT {RECORD} FROM users WHERE state = '{state}' AND due_at <= {NOW} AND user_id NOT IN (SELECT unnest($3::text[])) \
              ORDER BY due_at LIMIT 1)"
        )
    };
    format!("{} UNION ALL {}", first("pending"), first("claimed"))
}

/// Writes to the log and commits, which waits until the disk has the log up to there. A transaction that only has a number would not: the server takes
/// one that has written nothing for one whose loss does not matter, and acknowledges it at once. Who decodes the
/// log for replication sees the message only if asked to.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'hookproof', ''::text)";

/// Shows how many users had no row.
const INSERT: &str = "
WITH records AS (
    INSERT INTO users (user_id, correlation, variant, generation, exposed_at, changed_at, grant_id, units, state, due_at, first_sent_at,
                       sent_until, fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen)
    SELECT user_id, correlation, variant, generation, $5::bigint, CASE WHEN grant_id IS NOT NULL THEN $5::bigint END, grant_id, units,
           state, due_at, first_sent_at, sent_until, fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $6::bytea[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[],
                $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::boolean[], $17::boolean[])
         AS made (user_id, correlation, variant, generation, grant_id, units, state, due_at, first_sent_at, sent_until, fence_epoch,
                  fence_claim, fence_nonce, attempts, in_doubt, is_seen)
    ON CONFLICT DO NOTHING
    RETURNING user_id, grant_id
), ids AS (
    INSERT INTO grant_ids SELECT grant_id, user_id FROM records WHERE grant_id IS NOT NULL
)
SELECT count(*) FROM records";

const UPDATE_ALIKE: &str = "
UPDATE users
SET state = $3, changed_at = $2, due_at = $4, first_sent_at = $5, sent_until = $6, fence_epoch = $7, fence_claim = $8, fence_nonce = $9,
    attempts = $10, in_doubt = $11, is_seen = $12
WHERE ctid = ANY($1)";

const UPDATE_OPEN: &str = "
UPDATE users
SET state = made.state, changed_at = $2, due_at = made.due_at, first_sent_at = made.first_sent_at, sent_until = made.sent_until,
    fence_epoch = made.fence_epoch, fence_claim = made.fence_claim, fence_nonce = made.fence_nonce, attempts = made.attempts,
    in_doubt = made.in_doubt, is_seen = made.is_seen
FROM unnest($1::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
            $11::boolean[], $12::boolean[])
     AS made (user_id, state, due_at, first_sent_at, sent_until, fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen)
WHERE users.user_id = made.user_id";

const UPDATE_ENDED: &str = "
UPDATE users
SET state = made.state, changed_at = $2, due_at = NULL, park_reason = coalesce(made.park_reason, users.park_reason),
    last_answer = CASE WHEN made.state = 'parked' THEN made.last_answer ELSE users.last_answer END, sent_until = coalesce(made.sent_until, users.sent_until)
FROM unnest($1::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
     AS made (user_id, state, park_reason, last_answer, sent_until)
WHERE users.user_id = made.user_id";

const UPDATE_HEAD: &str = "
UPDATE store
SET clock = greatest(clock, $1), lineage = $2, fleet_limit = $3, max_in_flight = $4, effects_per_minute = $5, paused_until = $6,
    minute_start = $7, claimed_in_minute = $8, claimed = claimed + $9";

const BEGIN_OUTLIVED: &str = "
INSERT INTO outlived (user_id, until, fence_epoch, fence_claim, fence_nonce) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id) DO UPDATE SET until = excluded.until, fence_epoch = excluded.fence_epoch, fence_claim = excluded.fence_claim,
                                    fence_nonce = excluded.fence_nonce";
