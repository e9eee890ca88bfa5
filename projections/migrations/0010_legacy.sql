-- Awards of a rule that is no more say so, where the operator wants it: `is_legacy`.

-- What earns something else, or nothing, since a version that was published with the policy `legacy`. It holds from
-- the decision on, after which the replay of that version cannot be cancelled.
create view legacy_rule as
select policy.catalog, policy.achievement, policy.tier, max(policy.version) as until_version
from award_policy as policy
join replay on replay.id = policy.replay_id
where policy.policy = 'legacy' and replay.decided_at is not null
group by policy.catalog, policy.achievement, policy.tier;

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
    coalesce(award.catalog_version < legacy.until_version, false) as is_legacy
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
where award.revoked_at is null;

create or replace view user_badge as
select distinct on (user_id, catalog, achievement, scope) *
from user_award
order by user_id, catalog, achievement, scope, rank desc nulls last;
