-- How far users are. Written by the projection `user_progress`, one row per user.

-- metrics: {catalog: {metric: value}}.
-- streaks: {catalog: {metric: {first_day, last_day, longest}}}, days since 1970: the present run, and the longest.
-- zone: the user's own, null when no event has named one.
create table user_progress (
    user_id text collate "C" primary key,
    metrics jsonb not null,
    streaks jsonb not null,
    zone text,
    updated_at timestamptz not null
) with (fillfactor = 70);

-- The run of the headline streak is present only while its last day is today or yesterday in the user's zone.
-- That is for the reader to say: zones come from the project's own tzdata, not from the server's.
create view user_profile as
select
    part.user_id,
    part.catalog,
    sum(part.points)::bigint as points,
    sum(part.awards)::bigint as awards,
    max(part.last_earned_at) as last_earned_at,
    max((part.streaks -> header.headline_streak ->> 'longest')::integer) as streak_longest,
    max(date '1970-01-01' + (part.streaks -> header.headline_streak ->> 'first_day')::integer) as streak_first_day,
    max(date '1970-01-01' + (part.streaks -> header.headline_streak ->> 'last_day')::integer) as streak_last_day,
    coalesce(max(part.zone), max(header.timezone)) as zone
from (
    select user_id, catalog, points, 1 as awards, earned_at as last_earned_at, null::jsonb as streaks, null as zone
    from user_achievement
    union all
    select progress.user_id, metrics.key, 0, 0, null, progress.streaks -> metrics.key, progress.zone
    from user_progress as progress
    cross join jsonb_object_keys(progress.metrics) as metrics (key)
) as part
left join catalog as header on header.catalog = part.catalog
group by part.user_id, part.catalog;
