-- name: copy_awards
copy user_achievement (
    id, n, earned_at, awarded_at, points, evidence_partition, evidence_offset, catalog_version, xp, is_public,
    progress_at_unlock, user_id, evidence_event_id, scope, metadata, context, description, message, catalog,
    achievement, tier, rarity, evidence_topic, catalog_sha256, origin, replay_id, name
) from stdin with (format binary);

-- name: create_incoming
create temporary table if not exists incoming_award (like user_achievement) on commit delete rows;

-- name: create_appeared
create temporary table if not exists appeared_award (id uuid) on commit delete rows;

-- name: copy_incoming
copy incoming_award (
    id, n, earned_at, awarded_at, points, evidence_partition, evidence_offset, catalog_version, xp, is_public,
    progress_at_unlock, user_id, evidence_event_id, scope, metadata, context, description, message, catalog,
    achievement, tier, rarity, evidence_topic, catalog_sha256, origin, replay_id, name
) from stdin with (format binary);

-- name: insert_awards
-- Idempotent: an outcome that is there already changes nothing, and does not appear again.
with appeared as (
    insert into user_achievement (
        id, user_id, catalog, achievement, scope, tier, n, earned_at, awarded_at, points, xp, rarity,
        progress_at_unlock, is_public, metadata, context, description, message, evidence_topic, evidence_partition,
        evidence_offset, evidence_event_id, catalog_version, catalog_sha256, origin, replay_id, name
    )
    select
        id, user_id, catalog, achievement, scope, tier, n, earned_at, awarded_at, points, xp, rarity,
        progress_at_unlock, is_public, metadata, context, description, message, evidence_topic, evidence_partition,
        evidence_offset, evidence_event_id, catalog_version, catalog_sha256, origin, replay_id, name
    from incoming_award
    on conflict do nothing
    returning id
)
insert into appeared_award select id from appeared;
