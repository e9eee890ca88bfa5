-- name: snapshot
set transaction isolation level repeatable read read only;

-- name: gained
select concat_ws('/', achievement, tier), count(distinct user_id), count(*), sum(points)::bigint
from user_achievement
where replay_id = %(id)s
group by 1
order by 1;

-- name: lost
-- Of what a newer catalog ended, or what hung on that: the outermost cause stands first.
select concat_ws('/', achievement, tier), count(distinct user_id), count(*), sum(points)::bigint
from user_achievement
where catalog = %(catalog)s
    and revocation -> 'reasons' -> 0 ->> 'kind' = 'catalog'
    and (revocation -> 'reasons' -> 0 ->> 'catalog_version')::integer = %(version)s
group by 1
order by 1;

-- name: shifted
-- Given again by the replay, and of another date than the one that was ended.
select concat_ws('/', given.achievement, given.tier), count(distinct given.user_id), count(*), 0::bigint
from user_achievement as given
join user_achievement as ended
    on ended.user_id = given.user_id
    and ended.catalog = given.catalog
    and ended.achievement = given.achievement
    and ended.tier is not distinct from given.tier
    and ended.scope = given.scope
    and ended.n = given.n - 1
where given.replay_id = %(id)s and ended.earned_at <> given.earned_at
group by 1
order by 1;

-- name: unchanged
select count(*), coalesce(sum(points), 0)::bigint
from user_achievement
where catalog = %(catalog)s and revoked_at is null and replay_id is distinct from %(id)s;

-- name: users
-- Who gained something, or lost it.
with concerned as (
    select distinct user_id from user_achievement
    where replay_id = %(id)s
        or (
            catalog = %(catalog)s
            and revocation -> 'reasons' -> 0 ->> 'kind' = 'catalog'
            and (revocation -> 'reasons' -> 0 ->> 'catalog_version')::integer = %(version)s
        )
)
select user_id, count(*) over () from concerned order by md5(user_id || %(id)s), user_id limit %(count)s;

-- name: awards
select user_id, concat_ws('/', achievement, tier), scope, earned_at, points, coalesce(replay_id = %(id)s, false)
from user_achievement
where user_id = any(%(users)s)
    and (
        replay_id = %(id)s
        or (
            catalog = %(catalog)s
            and revocation -> 'reasons' -> 0 ->> 'kind' = 'catalog'
            and (revocation -> 'reasons' -> 0 ->> 'catalog_version')::integer = %(version)s
        )
    )
order by user_id, earned_at, 2, scope;
