-- name: create_incoming
create temporary table if not exists incoming_progress (
    user_id text,
    metrics jsonb,
    streaks jsonb,
    zone text,
    updated_at timestamptz
) on commit delete rows;

-- name: copy_incoming
copy incoming_progress (updated_at, user_id, zone, metrics, streaks) from stdin with (format binary);

-- name: upsert_progress
insert into user_progress (user_id, metrics, streaks, zone, updated_at)
select user_id, metrics, streaks, zone, updated_at from incoming_progress
on conflict (user_id) do update set
    metrics = excluded.metrics,
    streaks = excluded.streaks,
    zone = excluded.zone,
    updated_at = excluded.updated_at;

-- name: delete_progress
delete from user_progress where user_id = any(%(users)s);
