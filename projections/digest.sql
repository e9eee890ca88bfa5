-- name: gained
-- Of each user of the partition: how much, its points, the first names of what is worth most, and how many names.
-- What there is to look at, if it is one thing. Awards from before they kept their names go by those of the catalog.
select
    user_id,
    sum(awards)::integer as awards,
    sum(points)::bigint as points,
    (array_agg(name order by points desc, name))[:3] as names,
    count(*)::integer as named,
    case when count(*) = 1 then min(link) end as link
from (
    select
        award.user_id,
        coalesce(award.name, entry.name, award.achievement) as name,
        min('/achievements/' || award.catalog || '/' || award.achievement) as link,
        count(*) as awards,
        sum(award.points) as points
    from user_achievement as award
    left join achievement_entry as entry
        on entry.catalog = award.catalog
        and entry.key = award.achievement
        and entry.tier is not distinct from award.tier
    where award.replay_id = %(replay_id)s
        and award.evidence_partition = %(partition)s
        and award.revoked_at is null
    group by award.user_id, coalesce(award.name, entry.name, award.achievement)
    union all
    select user_id, 'Level ' || max(level), null, 1, 0
    from user_level_reached
    where replay_id = %(replay_id)s and (evidence ->> 'partition')::integer = %(partition)s
    group by user_id, catalog
) as gain
group by user_id;

-- name: pace
-- Deliveries of these that this very transaction made become due one after the other, behind all that were paced
-- before. What was there already stays as it is.
with made as (
    select delivery.notification_id, row_number() over () - 1 as place
    from notification_delivery as delivery
    where delivery.notification_id = any(%(notifications)s::uuid[])
        and delivery.subscriber = 'default'
        and delivery.state = 'pending'
        and delivery.visible_at = now()
),
wanted as (
    select count(*) * interval '1 second' / %(per_s)s::float8 as duration from made
),
reserved as (
    update replay_notice_pace
    set next_at = greatest(next_at, now()) + wanted.duration
    from wanted
    returning next_at - wanted.duration as first_at
)
update notification_delivery as delivery
set visible_at = reserved.first_at + made.place * interval '1 second' / %(per_s)s::float8
from made, reserved
where delivery.notification_id = made.notification_id and delivery.subscriber = 'default';
