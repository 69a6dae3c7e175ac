-- Version 1. Times are nanoseconds since 1970-01-01T00:00:00Z by the store's clock; the views at the end show them as text.

-- One row: what the store knows besides its users.
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    lineage BLOB,                          -- whose store it is: namespace, lineage, hash and secret, hashed
    epoch INTEGER NOT NULL,                -- rises when acknowledged commits were, or may have been, lost
    epoch_began_at INTEGER NOT NULL,
    clock INTEGER NOT NULL,                -- the latest time that was given out: the clock never runs backwards
    fleet_limit INTEGER NOT NULL,          -- requests that may be under way, in 65,536ths
    max_in_flight INTEGER NOT NULL,
    effects_per_minute INTEGER NOT NULL,
    paused_until INTEGER NOT NULL,
    minute_start INTEGER NOT NULL,
    claimed_in_minute INTEGER NOT NULL
) STRICT;
INSERT INTO store VALUES (1, NULL, 0, 0, 0, 0, 65535, 4294967295, 0, 0, 0);

-- Every version of the experiment that was ever opened.
CREATE TABLE versions (
    version BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The variants' names, for readers of the tables.
CREATE TABLE variants (
    variant INTEGER PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

-- A user who was exposed, with the grant if the variant is a treatment.
CREATE TABLE users (
    user_id TEXT PRIMARY KEY,
    variant INTEGER NOT NULL,              -- for ever
    generation INTEGER NOT NULL,           -- the experiment's, at the first exposure
    exposed_at INTEGER NOT NULL,
    correlation TEXT,                      -- ties the visit to the receipt
    grant_id BLOB,                         -- the idempotency key, too
    units INTEGER,
    state TEXT CHECK (state IN ('pending', 'claimed', 'delivered', 'rejected', 'parked')),
    due_at INTEGER,                        -- pending: when it is due; claimed: when the lease ends
    first_sent_at INTEGER,                 -- start of the key's window; NULL: no attempt counts; 0: not known
    sent_until INTEGER,                    -- no attempt was sent after this time
    fence_epoch INTEGER,                   -- the last claim
    fence_claim INTEGER,
    fence_nonce INTEGER,
    attempts INTEGER,
    in_doubt INTEGER,                      -- 1: an attempt may have been applied
    is_seen INTEGER,                       -- 1: the service may have seen a request
    park_reason TEXT,                      -- why a human must look
    last_answer TEXT,
    changed_at INTEGER,                    -- when the grant came into its state
    outlived_until INTEGER,                -- a receipt has ended it; a later claim's request may be under way until then
    CHECK ((grant_id IS NULL) = (state IS NULL)),
    CHECK ((state IN ('pending', 'claimed')) = (due_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_by_grant ON users (grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX users_by_due ON users (state, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX users_parked ON users (changed_at) WHERE state = 'parked';
CREATE INDEX users_outlived ON users (outlived_until) WHERE outlived_until IS NOT NULL;

-- For reading by hand.
CREATE VIEW exposures AS
SELECT users.user_id,
       coalesce(variants.name, users.variant) AS variant,
       strftime('%Y-%m-%dT%H:%M:%fZ', users.exposed_at / 1e9, 'unixepoch') AS exposed_at,
       users.correlation
FROM users LEFT JOIN variants USING (variant);

CREATE VIEW grants AS
SELECT lower(substr(hex(grant_id), 1, 8) || '-' || substr(hex(grant_id), 9, 4) || '-' || substr(hex(grant_id), 13, 4) || '-'
       || substr(hex(grant_id), 17, 4) || '-' || substr(hex(grant_id), 21)) AS grant_id,
       user_id, units, state,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1e9, 'unixepoch') AS changed_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', due_at / 1e9, 'unixepoch') AS due_at,
       attempts, in_doubt, park_reason, last_answer, correlation
FROM users WHERE grant_id IS NOT NULL;
