-- name: held
select user_id, catalog, concat_ws('/', achievement, tier), scope
from user_achievement
where revoked_at is null and concat_ws('/', catalog, achievement, tier) = any(%(references)s);

-- name: holders
select count(*) from user_achievement
where revoked_at is null and catalog = %(catalog)s and concat_ws('/', achievement, tier) = %(reference)s;

-- name: points
select coalesce(sum(points), 0)::bigint from user_achievement where revoked_at is null and catalog = %(catalog)s;
