-- name: create_incoming
create temporary table if not exists incoming_progress (
    user_id text,
    metrics jsonb,
    streaks jsonb,
    zone text,
    updated_at timestamptz,
    windows jsonb,
    pace jsonb,
    known_since jsonb
) on commit delete rows;

-- name: copy_incoming
copy incoming_progress (updated_at, user_id, zone, metrics, streaks, windows, pace, known_since)
from stdin with (format binary);

-- name: read_past
-- As one array, which is decoded in one call.
select user_id, '[' || metrics::text || ',' || windows::text || ',' || pace::text || ',' || known_since::text || ']'
from user_progress
where user_id = any(%(users)s);

-- name: upsert_progress
-- A pace that stays as it is comes as null. What was incoming is gone then: the next turn comes into an empty table.
with incoming as (delete from incoming_progress returning *)
insert into user_progress (user_id, metrics, streaks, zone, updated_at, windows, pace, known_since)
select user_id, metrics, streaks, zone, updated_at, windows, coalesce(pace, '{}'), coalesce(known_since, '{}')
from incoming
on conflict (user_id) do update set
    metrics = excluded.metrics,
    streaks = excluded.streaks,
    zone = excluded.zone,
    updated_at = excluded.updated_at,
    windows = excluded.windows,
    pace = coalesce(nullif(excluded.pace, '{}'), user_progress.pace),
    known_since = coalesce(nullif(excluded.known_since, '{}'), user_progress.known_since);

-- name: delete_progress
delete from user_progress where user_id = any(%(users)s);
