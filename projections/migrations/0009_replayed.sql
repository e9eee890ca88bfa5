-- What the read models know of replays.

-- Partitions of the outcomes in which a replay has ended: all that it awarded there came before.
create table replay_completed (
    id uuid primary key,
    replay_id text collate "C" not null,
    partition integer not null,
    notify text not null check (notify in ('none', 'digest', 'all')),
    -- {catalog: version}: what has run in the partition since
    catalogs jsonb not null,
    completed_at timestamptz not null,
    unique (replay_id, partition)
);

-- Evidence lies in the partition of the same number as the outcome: a user's is the same in all topics.
create index user_achievement_of_replay on user_achievement (replay_id, evidence_partition)
where replay_id is not null;

create index user_level_of_replay on user_level_reached (replay_id) where replay_id is not null;

-- When the next delivery of what replays announce may become due: one row, which whoever announces moves on.
create table replay_notice_pace (
    is_only boolean primary key default true check (is_only),
    next_at timestamptz not null
);

insert into replay_notice_pace (next_at) values ('-infinity');

-- What the operator chose for awards that were earned before the rule changed or went: the policy of the replay that
-- published `version` is about those of lower ones. Written when the replay is started.
create table award_policy (
    catalog text collate "C" not null,
    achievement text collate "C" not null,
    tier text collate "C",
    version integer not null,
    policy text not null check (policy in ('keep', 'revoke', 'legacy')),
    replay_id text collate "C" not null references replay (id),
    unique nulls not distinct (catalog, achievement, tier, version)
);

-- By which versions the states of a partition of the changelog are shown, and which metrics are not, because a replay
-- has not filled them yet. Moves with the position of `user_progress`.
create table progress_view (
    partition integer primary key,
    -- {catalog: version}
    catalogs jsonb not null,
    -- [[catalog, key of a metric], …]
    hidden jsonb not null
);
