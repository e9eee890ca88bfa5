-- The registry of replays, of which no topic has a copy: it is no read model and never rebuilt. Every change of
-- status is one compare-and-set on a row of `replay`, so that of two commands at once only one wins.

create table replay (
    -- <catalog>-v<version>-<the beginning of a hash>, or what the operator called it
    id text collate "C" primary key,
    status text not null
        check (status in ('running', 'paused', 'cancelling', 'cancelled', 'activating', 'done', 'failed')),
    kind text not null check (kind in ('sweep', 'fold_and_merge')),
    catalog text collate "C" not null,
    version integer not null,
    sha256 text not null,
    -- what users are told of what they gain: nothing, one message in all, or each award as it comes
    notify text not null check (notify in ('none', 'digest', 'all')),
    -- what becomes of awards that an older version gave for something changed or removed
    policy text not null check (policy in ('keep', 'revoke', 'legacy')),
    -- approximate: of when the metric last moved, instead of when it crossed
    dates text not null check (dates in ('exact', 'approximate')),
    -- {catalog: version}: what ran when it was started
    from_versions jsonb not null,
    -- [[catalog, reference of an achievement], …]: they award nothing before it is activated
    muted jsonb not null,
    -- [[catalog, key of a metric], …]: they are shown to nobody before it is activated
    filling jsonb not null,
    -- what was planned: counts and reasons, for people
    plan jsonb not null,
    -- of the state, when it was started
    partitions integer not null,
    who text not null,
    created_at timestamptz not null default now(),
    -- when all partitions were ready and it was decided to activate
    decided_at timestamptz,
    ended_at timestamptz,
    -- why, of a failed one
    failure text
);

-- What replays that have not ended fill and mute: the key lets no two of them have the same. A name is that of a
-- metric or of an achievement; a replay that has both under one name has one row.
create table replay_metric (
    catalog text collate "C" not null,
    name text collate "C" not null,
    replay_id text collate "C" not null references replay (id),
    primary key (catalog, name)
);

create index replay_metric_of_replay on replay_metric (replay_id);

-- How far a replay is in each partition, for displays only: what it goes by is in the control records.
create table replay_progress (
    replay_id text collate "C" not null references replay (id),
    partition integer not null,
    phase text not null,
    -- records of this phase that are behind it, and all there are
    position bigint not null,
    of bigint not null,
    users bigint not null,
    -- records a second; null before it is known
    rate double precision,
    updated_at timestamptz not null default now(),
    primary key (replay_id, partition)
) with (fillfactor = 50);

-- Who did what: one row for each command that changed something.
create table replay_audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    who text not null,
    verb text not null,
    replay_id text collate "C" not null,
    catalog text collate "C" not null,
    sha256 text not null,
    details jsonb not null
);

create index replay_audit_of_replay on replay_audit (replay_id, at);
