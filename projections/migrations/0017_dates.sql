-- An award whose date a replay took from the user's state, and not from the past, says so: `dates`.
create or replace view user_award as
select
    award.id,
    award.user_id,
    award.catalog,
    award.achievement,
    award.scope,
    award.tier,
    award.n,
    award.earned_at,
    award.awarded_at,
    award.points,
    award.xp,
    award.rarity,
    award.progress_at_unlock,
    award.metadata,
    award.evidence_topic,
    award.evidence_partition,
    award.evidence_offset,
    award.evidence_event_id,
    award.catalog_version,
    award.catalog_sha256,
    award.origin,
    award.replay_id,
    entry.name,
    coalesce(award.description, entry.description) as description,
    coalesce(award.message, entry.message) as message,
    entry.icon,
    entry.color_from,
    entry.color_to,
    entry.category,
    entry.type,
    coalesce(entry.is_secret, false) as is_secret,
    coalesce(chosen.is_public, award.is_public) as is_public,
    coalesce(chosen.featured, false) as featured,
    award.context,
    entry.rank,
    coalesce(award.catalog_version < legacy.until_version, false) as is_legacy,
    coalesce(replay.dates, 'exact') as dates
from user_achievement as award
left join achievement as entry
    on entry.catalog = award.catalog
    and entry.key = award.achievement
    and entry.tier is not distinct from award.tier
left join award_visibility as chosen on chosen.outcome_id = award.id
left join legacy_rule as legacy
    on legacy.catalog = award.catalog
    and legacy.achievement = award.achievement
    and legacy.tier is not distinct from award.tier
left join replay on replay.id = award.replay_id
where award.revoked_at is null;

create or replace view user_badge as
select distinct on (user_id, catalog, achievement, scope) *
from user_award
order by user_id, catalog, achievement, scope, rank desc nulls last;
