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
select user_id, pace::text, known_since::text from user_progress where user_id = any(%(users)s);

-- name: upsert_progress
insert into user_progress (user_id, metrics, streaks, zone, updated_at, windows, pace, known_since)
select user_id, metrics, streaks, zone, updated_at, windows, pace, known_since from incoming_progress
on conflict (user_id) do update set
    metrics = excluded.metrics,
    streaks = excluded.streaks,
    zone = excluded.zone,
    updated_at = excluded.updated_at,
    windows = excluded.windows,
    pace = excluded.pace,
    known_since = excluded.known_since;

-- name: delete_progress
delete from user_progress where user_id = any(%(users)s);
