-- What nobody can earn yet completes no category, and keeps none from being complete.

-- Entries that a replay has muted and not given yet: the latest that named it decides. One that was cancelled or failed
-- leaves them muted.
create view muted_entry as
select catalog, reference
from (
    select distinct on (named ->> 0, named ->> 1)
        named ->> 0 as catalog, named ->> 1 as reference, replay.status
    from replay
    cross join jsonb_array_elements(replay.muted) as named
    order by named ->> 0, named ->> 1, replay.created_at desc
) as latest
where status <> 'done';

-- As achievement.counts, less what is muted.
create view counting_entry as
select entry.*
from achievement as entry
where entry.counts
    and not exists (
        select from muted_entry as muted
        where muted.catalog = entry.catalog
            and muted.reference = entry.key || coalesce('/' || entry.tier, '')
    );

create or replace view user_category as
select
    held.user_id,
    held.catalog,
    held.category,
    count(*) as earned,
    whole.total,
    count(*) = whole.total as is_complete,
    case when count(*) = whole.total then max(held.earned_at) end as completed_at
from (
    select award.user_id, entry.catalog, entry.category, entry.key, min(award.earned_at) as earned_at
    from user_achievement as award
    join counting_entry as entry
        on entry.catalog = award.catalog
        and entry.key = award.achievement
        and entry.tier is not distinct from award.tier
    where award.revoked_at is null and entry.category <> ''
    group by award.user_id, entry.catalog, entry.category, entry.key
) as held
join (
    select catalog, category, count(distinct key) as total
    from counting_entry
    group by catalog, category
) as whole on whole.catalog = held.catalog and whole.category = held.category
group by held.user_id, held.catalog, held.category, whole.total;
