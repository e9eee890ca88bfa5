-- name: create_incoming
create temporary table if not exists incoming_award (
    id uuid,
    user_id text,
    catalog text,
    achievement text,
    scope text,
    tier text,
    n integer,
    earned_at timestamptz,
    awarded_at timestamptz,
    points bigint,
    rarity text,
    progress_at_unlock bigint,
    metadata jsonb,
    evidence_topic text,
    evidence_partition integer,
    evidence_offset bigint,
    evidence_event_id text,
    catalog_version integer,
    catalog_sha256 text,
    origin text,
    replay_id text,
    -- what its user is told, nothing for an award that is not announced
    notification_id uuid,
    title text,
    message text,
    link text,
    details jsonb
) on commit delete rows;

-- name: create_appeared
create temporary table if not exists appeared_award (id uuid) on commit delete rows;

-- name: copy_incoming
copy incoming_award from stdin;

-- name: insert_awards
-- Idempotent: an outcome that is there already changes nothing, and does not appear again.
with appeared as (
    insert into user_achievement (
        id, user_id, catalog, achievement, scope, tier, n, earned_at, awarded_at, points, rarity,
        progress_at_unlock, metadata, evidence_topic, evidence_partition, evidence_offset, evidence_event_id,
        catalog_version, catalog_sha256, origin, replay_id
    )
    select
        id, user_id, catalog, achievement, scope, tier, n, earned_at, awarded_at, points, rarity,
        progress_at_unlock, metadata, evidence_topic, evidence_partition, evidence_offset, evidence_event_id,
        catalog_version, catalog_sha256, origin, replay_id
    from incoming_award
    on conflict do nothing
    returning id
)
insert into appeared_award select id from appeared;
