-- name: create
insert into replay (
    id, status, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan,
    partitions, who, shadow, source, file
)
values (
    %(id)s, 'running', %(kind)s, %(catalog)s, %(version)s, %(sha256)s, %(notify)s, %(policy)s, %(dates)s,
    %(from_versions)s, %(muted)s, %(filling)s, %(plan)s, %(partitions)s, %(who)s, %(shadow)s, %(source)s, %(file)s
)
on conflict (id) do nothing
returning id;

-- name: one_at_a_time
-- Who starts a replay sees all that were started before.
lock table replay in share row exclusive mode;

-- name: beside
-- What keeps it from being started: of two that have not ended neither is a full one.
select id, kind from replay
where status not in ('done', 'cancelled') and id <> %(id)s and 'full' in (kind, %(kind)s)
order by created_at, id
limit 1;

-- name: lead
select pg_try_advisory_lock(hashtextextended('laurel/' || current_schema() || '/replay/' || %(id)s, 0));

-- name: shown
-- How far the read models of another schema are.
select partition, min(next_position) from {schema}.projection_position where topic = %(topic)s group by partition;

-- name: source
select source, file from replay where id = %(id)s;

-- name: drop
update replay set dropped_at = now()
where shadow = (select shadow from replay where id = %(id)s) and dropped_at is null
returning id;

-- name: sharing
-- Those in the same shadow that have not ended.
select other.id from replay join replay as other using (shadow)
where replay.id = %(id)s and other.id <> %(id)s and other.status not in ('done', 'cancelled');

-- name: take
-- The one arbiter: of two replays that want the same, one gets it. Waits for whoever is about to.
insert into replay_metric (catalog, name, replay_id)
select catalog, name, %(id)s from unnest(%(catalogs)s::text[], %(names)s::text[]) as wanted (catalog, name)
order by catalog, name
on conflict (catalog, name) do nothing
returning catalog, name;

-- name: holders
select held.catalog, held.name, held.replay_id
from replay_metric as held
join unnest(%(catalogs)s::text[], %(names)s::text[]) as wanted (catalog, name) using (catalog, name)
order by held.catalog, held.name;

-- name: release
delete from replay_metric where replay_id = %(id)s;

-- name: retire
insert into award_policy (catalog, achievement, tier, version, policy, replay_id)
select
    %(catalog)s, split_part(reference, '/', 1), nullif(split_part(reference, '/', 2), ''), %(version)s, %(policy)s,
    %(id)s
from unnest(%(retired)s::text[]) as retired (reference)
on conflict (catalog, achievement, tier, version) do update
set policy = excluded.policy, replay_id = excluded.replay_id;

-- name: find
select
    id, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan, partitions,
    shadow, status, who, created_at, decided_at, ended_at, failure, attempt, dropped_at
from replay
where id = %(id)s;

-- name: list
select
    id, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan, partitions,
    shadow, status, who, created_at, decided_at, ended_at, failure, attempt, dropped_at
from replay
order by created_at, id;

-- name: under_way
select id from replay where status in ('running', 'promoting', 'cancelling', 'activating') order by created_at, id;

-- name: change
-- A compare-and-set. What is decided stays decided: a replay that failed behind its decision goes on behind it.
update replay
set status = %(to)s,
    decided_at = case when %(to)s = 'activating' then coalesce(decided_at, now()) else decided_at end,
    ended_at = case when %(to)s in ('done', 'cancelled', 'failed') then now() end,
    attempt = attempt + (%(to)s = 'promoting')::integer,
    failure = %(failure)s
where id = %(id)s and status = any(%(from)s)
    and (%(to)s <> 'cancelling' or decided_at is null)
returning id;

-- name: show_progress
insert into replay_progress (replay_id, partition, phase, position, of, users, rate)
values (%(id)s, %(partition)s, %(phase)s, %(position)s, %(of)s, %(users)s, %(rate)s)
on conflict (replay_id, partition) do update
set phase = excluded.phase, position = excluded.position, of = excluded.of, users = excluded.users,
    rate = excluded.rate, updated_at = now();

-- name: progress
select partition, phase, position, of, users, rate, updated_at
from replay_progress
where replay_id = %(id)s
order by partition;

-- name: note
insert into replay_audit (who, verb, replay_id, catalog, sha256, details)
values (%(who)s, %(verb)s, %(id)s, %(catalog)s, %(sha256)s, %(details)s);

-- name: last_word
select who, at from replay_audit where replay_id = %(id)s and verb = %(verb)s order by id desc limit 1;

-- name: still
-- Seconds since somebody gave a command, or a job said how far it is.
select extract(epoch from now() - greatest(
    (select max(at) from replay_audit where replay_id = %(id)s),
    (select max(updated_at) from replay_progress where replay_id = %(id)s)
))::double precision;
