-- Version 1. Times are nanoseconds since 1970-01-01T00:00:00Z by the store's clock; the views at the end show them as timestamps.

-- One row: what the store knows besides its users. Every claim and every settlement locks it, last of all.
CREATE TABLE store (
    id bigint PRIMARY KEY CHECK (id = 1),
    schema_version bigint NOT NULL,
    lineage bytea,                         -- whose store it is: namespace, lineage, hash and secret, hashed
    epoch bigint NOT NULL,                 -- rises when acknowledged commits were, or may have been, lost
    epoch_began_at bigint NOT NULL,
    clock bigint NOT NULL,                 -- the latest time of a commit that held this row: the clock never runs backwards
    fleet_limit bigint NOT NULL,           -- requests that may be under way, in 65,536ths
    max_in_flight bigint NOT NULL,
    effects_per_minute bigint NOT NULL,
    paused_until bigint NOT NULL,
    minute_start bigint NOT NULL,
    claimed_in_minute bigint NOT NULL,
    claimed bigint NOT NULL,               -- grants that are claimed
    system_identifier bigint,              -- of the server that the epoch is of; NULL: not known
    timeline bigint                        -- of its log; another one: a replica was promoted, or a backup restored
) WITH (fillfactor = 10);
INSERT INTO store VALUES (1, 1, NULL, 0, 0, 0, 0, 65535, 4294967295, 0, 0, 0, 0, NULL, NULL);

-- Every version of the experiment that was ever opened.
CREATE TABLE versions (
    version bytea PRIMARY KEY
);

-- The variants' names, for readers of the tables.
CREATE TABLE variants (
    variant bigint PRIMARY KEY,
    name text NOT NULL
);

-- A user who was exposed, with the grant if the variant is a treatment.
CREATE TABLE users (
    user_id text COLLATE "C" PRIMARY KEY,
    variant bigint NOT NULL,               -- for ever
    generation bigint NOT NULL,            -- the experiment's, at the first exposure
    exposed_at bigint NOT NULL,
    correlation text,                      -- ties the visit to the receipt
    grant_id bytea,                        -- the idempotency key, too
    units bigint,
    state text COLLATE "C" CHECK (state IN ('pending', 'claimed', 'delivered', 'rejected', 'parked')),
    due_at bigint,                         -- pending: when it is due; claimed: when the lease ends
    first_sent_at bigint,                  -- start of the key's window; NULL: no attempt counts; 0: not known
    sent_until bigint,                     -- no attempt was sent after this time
    fence_epoch bigint,                    -- the last claim
    fence_claim bigint,
    fence_nonce bigint,
    attempts bigint,
    in_doubt boolean,                      -- an attempt may have been applied
    is_seen boolean,                       -- the service may have seen a request
    park_reason text,                      -- why a human must look
    last_answer text,
    changed_at bigint,                     -- when the grant came into its state
    CHECK ((grant_id IS NULL) = (state IS NULL)),
    CHECK ((state IN ('pending', 'claimed')) = (due_at IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX users_pending ON users (due_at) WHERE state = 'pending';
CREATE INDEX users_claimed ON users (due_at) WHERE state = 'claimed';
CREATE INDEX users_parked ON users (changed_at) WHERE state = 'parked';

-- Whose grant it is. In a table of its own: rows of users change several times, and each time all their indexes would.
CREATE TABLE grant_ids (
    grant_id bytea PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL
);

-- Rarely any: claims of grants that the receipt of an earlier claim has ended. Their requests may be under way until then.
CREATE TABLE outlived (
    user_id text COLLATE "C" PRIMARY KEY,
    until bigint NOT NULL,
    fence_epoch bigint NOT NULL,
    fence_claim bigint NOT NULL,
    fence_nonce bigint NOT NULL
);

-- For reading by hand.
CREATE FUNCTION as_time(nanoseconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    $$ SELECT timestamptz 'epoch' + nanoseconds / 1000 * interval '1 microsecond' $$;

CREATE VIEW exposures AS
SELECT users.user_id,
       coalesce(variants.name, users.variant::text) AS variant,
       as_time(users.exposed_at) AS exposed_at,
       users.correlation
FROM users LEFT JOIN variants USING (variant);

CREATE VIEW grants AS
SELECT encode(grant_id, 'hex')::uuid AS grant_id,
       user_id, units, state,
       as_time(changed_at) AS changed_at,
       as_time(due_at) AS due_at,
       attempts, in_doubt, park_reason, last_answer, correlation
FROM users WHERE grant_id IS NOT NULL;
