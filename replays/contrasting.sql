-- name: snapshot
set transaction isolation level repeatable read read only;

-- name: contrast
-- What users hold here and in the shadow, of one catalog: {shadow} is its schema. An award that both hold is shifted
-- when it has another date there. The others read from it.
with here as (
    select * from user_achievement where catalog = %(catalog)s and revoked_at is null
),
there as (
    select * from {shadow}.user_achievement where catalog = %(catalog)s and revoked_at is null
),
contrast as (
    select
        coalesce(here.user_id, there.user_id) as user_id,
        concat_ws('/', coalesce(here.achievement, there.achievement), coalesce(here.tier, there.tier)) as reference,
        coalesce(here.scope, there.scope) as scope,
        here.earned_at as earned_here,
        there.earned_at as earned_there,
        coalesce(here.points, 0) as points_here,
        coalesce(there.points, 0) as points_there,
        case
            when here.id is null then 'gained'
            when there.id is null then 'lost'
            when here.earned_at <> there.earned_at then 'shifted'
            else 'unchanged'
        end as change
    from here
    full join there
        on there.user_id = here.user_id
        and there.achievement = here.achievement
        and there.scope = here.scope
        and coalesce(there.tier, '') = coalesce(here.tier, '')
)

-- name: tallies
select change, reference, count(distinct user_id), count(*), sum(abs(points_there - points_here))::bigint
from contrast
where change <> 'unchanged'
group by change, reference
order by change, reference;

-- name: totals
select
    count(*) filter (where change = 'unchanged'),
    coalesce(sum(points_here), 0)::bigint,
    coalesce(sum(points_there), 0)::bigint
from contrast;

-- name: users
select user_id, count(*) over ()
from (select distinct user_id from contrast where change <> 'unchanged') as concerned
order by md5(user_id || %(id)s), user_id limit %(count)s;

-- name: awards
select user_id, reference, scope, earned_at, points, is_gained
from (
    select user_id, reference, scope, earned_here as earned_at, points_here as points, false as is_gained
    from contrast where change in ('lost', 'shifted')
    union all
    select user_id, reference, scope, earned_there, points_there, true
    from contrast where change in ('gained', 'shifted')
) as told
where user_id = any(%(users)s)
order by user_id, earned_at, reference, scope, is_gained;
