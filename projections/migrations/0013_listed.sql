-- An entry that only a replay brings is listed from the decision of that replay on, not before.

alter table achievement rename to achievement_entry;

-- the first version that has the entry, or the tier; and whether any version that has it runs without a replay
alter table achievement_entry
    add column since_version integer not null default 0,
    add column is_announced boolean not null default true;

create view achievement as
select *
from achievement_entry as entry
where is_announced
    or exists (
        select from replay
        where replay.catalog = entry.catalog
            and replay.version >= entry.since_version
            and replay.decided_at is not null
    );

create or replace view achievement_rarity as
select
    entry.catalog,
    entry.key as achievement,
    entry.tier,
    coalesce(held.holders, 0) as holders,
    coalesce(known.users, 0) as users,
    case when known.users >= 20 then round(100.0 * coalesce(held.holders, 0) / known.users, 2) end as percent,
    held.first_earned_at,
    held.last_earned_at
from achievement as entry
left join (
    select
        catalog,
        achievement,
        tier,
        count(distinct user_id) as holders,
        min(earned_at) as first_earned_at,
        max(earned_at) as last_earned_at
    from user_achievement
    where revoked_at is null
    group by catalog, achievement, tier
) as held
    on held.catalog = entry.catalog and held.achievement = entry.key and held.tier is not distinct from entry.tier
left join (select catalog, count(*) as users from known_user group by catalog) as known
    on known.catalog = entry.catalog;

create or replace view success_most_and_least_earned as
select
    entry.catalog,
    entry.key as achievement,
    count(distinct held.user_id) as holders,
    rank() over (partition by entry.catalog order by count(distinct held.user_id) desc) as most,
    rank() over (partition by entry.catalog order by count(distinct held.user_id)) as least
from achievement as entry
left join user_achievement as held
    on held.catalog = entry.catalog
    and held.achievement = entry.key
    and held.tier is not distinct from entry.tier
    and held.revoked_at is null
where entry.is_active
group by entry.catalog, entry.key;
