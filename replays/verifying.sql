-- name: snapshot
set transaction isolation level repeatable read read only;

-- name: sample
select user_id from user_progress order by md5(user_id || %(seed)s), user_id limit %(count)s;

-- name: awards
select user_id, catalog, concat_ws('/', achievement, tier), scope, n, earned_at, catalog_version
from user_achievement
where revoked_at is null and user_id = any(%(users)s);

-- name: metrics
select user_id, metrics from user_progress where user_id = any(%(users)s);

-- name: replayed
select catalog, version, filling, muted, plan -> 'achievements', dates from replay where status = 'done';
