-- The whole catalog language: tiers, scopes, seasons, sets, revocation, XP, levels and challenges; and what telling
-- somebody's progress needs.

-- Catalogs are read again from the beginning of their topic, so that every column below is filled.
delete from projection_position where projection = 'achievement';
delete from achievement;
delete from catalog;
drop view user_award;
drop view user_profile;

alter table catalog
    -- all of the compiled catalog: schemas/program.py, CatalogProgram
    add column program jsonb not null,
    add column default_language text not null,
    -- names of the tiers, lowest first
    add column tiers text[] not null,
    -- the metric that levels go by; null without levels
    add column level_of text collate "C",
    -- how many are offered to a user on a day; null without challenges
    add column challenges_per_day integer;

-- Where each level begins, on the scale of catalog.level_of. Level 1 begins at 0.
create table catalog_level (
    catalog text collate "C" not null,
    level integer not null,
    starts_at bigint not null,
    primary key (catalog, level)
);

-- One row for each tier, as there is one award for each: points, XP, rarity and condition are a tier's own, and an
-- award finds its texts without unpacking anything. Entries without tiers have one row, its tier null.
alter table achievement
    drop constraint achievement_pkey,
    add column tier text collate "C",
    -- of the tier within its achievement, 0 the lowest; null without tiers
    add column rank integer,
    add column xp bigint not null,
    -- whether its awards are public until their owner says otherwise
    add column is_public boolean not null,
    -- 'no': what is earned stays
    add column revocable text not null check (revocable in ('no', 'silent', 'announced')),
    -- types of the events that give it at once; empty where a condition does
    add column event_types text[] not null,
    -- the field of the event that there is one award for; null: one award in all
    add column scope_field text,
    -- {"from": date, "until": date} without the last day, either may be null, or {"every": "day" | "week" | "month"};
    -- null: always
    add column season jsonb,
    -- the category of a set, '*' for the whole catalog, its members being in `requires`; null: no set
    add column all_of text collate "C",
    -- the author's names of the comparisons of a tier, {name: {"metric": …, "at": …}}
    add column conditions jsonb not null,
    -- whether sets, and the completion of its category, count it: active, not secret, not seasonal, no set itself
    add column counts boolean not null,
    -- {language: {"name": …, "description": …, "message": …}}
    add column translations jsonb not null,
    add unique nulls not distinct (catalog, key, tier);

-- An award that was revoked keeps its row. What is held is what has no revoked_at; of one (user, catalog,
-- achievement, tier, scope) that is at most the row with the highest n.
alter table user_achievement
    add column is_public boolean not null default true,
    -- fields of the crossing event, as the entry asks for them; null when it asks for none
    add column context jsonb,
    -- with the metadata filled in; null when they are the entry's own
    add column description text,
    add column message text,
    -- when the event that took it back happened, in the user's life
    add column revoked_at timestamptz,
    -- {"outcome_id", "reasons", "evidence", "revoked_on"}: reasons are a chain, the outermost cause first;
    -- evidence is the causing record; revoked_on is when the engine said so
    add column revocation jsonb,
    add check ((revoked_at is null) = (revocation is null));

update user_achievement set xp = 0 where xp is null;
alter table user_achievement alter column xp set default 0, alter column xp set not null;

-- No choice is null: then the award is as public as its entry says.
alter table award_visibility alter column is_public drop not null, alter column is_public drop default;

-- Levels that were reached, each once: one that is lost by a revocation and reached again is not told again.
create table user_level_reached (
    id uuid primary key,
    user_id text collate "C" not null,
    catalog text collate "C" not null,
    level bigint not null,
    metric text collate "C" not null,
    value bigint not null,
    earned_at timestamptz not null,
    awarded_at timestamptz not null,
    -- {"topic", "partition", "offset", "event_id"}
    evidence jsonb not null,
    catalog_version bigint not null,
    catalog_sha256 text not null,
    origin text not null check (origin in ('live', 'replay')),
    replay_id text,
    unique (user_id, catalog, level)
);

-- Challenges that were completed. Which ones are offered follows from user and day: schemas/challenges.py.
create table user_challenge (
    id uuid primary key,
    user_id text collate "C" not null,
    catalog text collate "C" not null,
    challenge text collate "C" not null,
    -- the user's
    day date not null,
    name text not null,
    description text not null,
    type text not null,
    metric text collate "C" not null,
    value bigint not null,
    target bigint not null,
    xp bigint not null,
    command_id text collate "C" not null,
    earned_at timestamptz not null,
    awarded_at timestamptz not null,
    evidence jsonb not null,
    catalog_version bigint not null,
    catalog_sha256 text not null,
    origin text not null check (origin in ('live', 'replay')),
    replay_id text,
    unique (user_id, catalog, challenge, day)
);

-- What became of commands, for whoever sent them.
create table command_answer (
    id uuid primary key,
    command_id text collate "C" not null,
    user_id text collate "C" not null,
    command text not null,
    status text not null check (status in ('accepted', 'repeated', 'refused')),
    -- a word for programs; null when it was accepted
    reason text,
    message text not null,
    -- [{"metric", "value", "target"}]
    missing jsonb not null,
    answered_at timestamptz not null
);

create index command_answer_of_command on command_answer (command_id, user_id);

alter table user_progress
    -- metrics that only a window sees, by catalog: {"released@2026-06-01..2026-09-01": value}, and of a repeating
    -- window the latest 8 periods, {"sessions@week": {"2026-W47": value}}; `metrics` has what the author named
    add column windows jsonb not null default '{}',
    -- {catalog: {metric: [base, gained, day, first_day, days]}}: base is the metric's value when `day`, the last on
    -- which it moved, began; gained is what it had gained before that, each gain halved for every 14 days between it
    -- and `day`; days counts those on which it moved. Days since 1970 in UTC. So all that it gained, as of `day`, is
    -- max(0, gained + value - base). A metric that never moved is not there, nor is a streak.
    add column pace jsonb not null default '{}',
    -- {catalog: time}: the catalogs that the user has had an event of, and the earliest event time known
    add column known_since jsonb not null default '{}';

-- What people hold, with its entry's texts and what its owner chose.
create view user_award as
select
    award.id,
    award.user_id,
    award.catalog,
    award.achievement,
    award.scope,
    award.tier,
    award.n,
    award.earned_at,
    award.awarded_at,
    award.points,
    award.xp,
    award.rarity,
    award.progress_at_unlock,
    award.metadata,
    award.evidence_topic,
    award.evidence_partition,
    award.evidence_offset,
    award.evidence_event_id,
    award.catalog_version,
    award.catalog_sha256,
    award.origin,
    award.replay_id,
    entry.name,
    coalesce(award.description, entry.description) as description,
    coalesce(award.message, entry.message) as message,
    entry.icon,
    entry.color_from,
    entry.color_to,
    entry.category,
    entry.type,
    coalesce(entry.is_secret, false) as is_secret,
    coalesce(chosen.is_public, award.is_public) as is_public,
    coalesce(chosen.featured, false) as featured,
    award.context,
    entry.rank
from user_achievement as award
left join achievement as entry
    on entry.catalog = award.catalog
    and entry.key = award.achievement
    and entry.tier is not distinct from award.tier
left join award_visibility as chosen on chosen.outcome_id = award.id
where award.revoked_at is null;

-- One row for each achievement that a user holds, and scope: of its tiers the highest.
create view user_badge as
select distinct on (user_id, catalog, achievement, scope) *
from user_award
order by user_id, catalog, achievement, scope, rank desc nulls last;

-- Where users stand. Level 1 is where everybody begins, so somebody without a row is there, too.
create view user_level as
select
    progress.user_id,
    header.catalog,
    here.level,
    header.level_of as metric,
    standing.value as xp,
    standing.value - here.starts_at as xp_into_level,
    following.starts_at - standing.value as xp_to_next_level,
    reached.earned_at as reached_at
from user_progress as progress
join catalog as header on header.level_of is not null
cross join lateral (
    select greatest(0, coalesce((progress.metrics -> header.catalog ->> header.level_of)::bigint, 0)) as value
) as standing
cross join lateral (
    select level, starts_at from catalog_level
    where catalog = header.catalog and starts_at <= standing.value
    order by level desc
    limit 1
) as here
left join catalog_level as following on following.catalog = header.catalog and following.level = here.level + 1
left join user_level_reached as reached
    on reached.user_id = progress.user_id and reached.catalog = header.catalog and reached.level = here.level;

-- Categories that a user holds something of. It is complete when everything that counts in it is held; of tiers the
-- lowest suffices.
create view user_category as
select
    held.user_id,
    held.catalog,
    held.category,
    count(*) as earned,
    whole.total,
    count(*) = whole.total as is_complete,
    case when count(*) = whole.total then max(held.earned_at) end as completed_at
from (
    select award.user_id, entry.catalog, entry.category, entry.key, min(award.earned_at) as earned_at
    from user_achievement as award
    join achievement as entry
        on entry.catalog = award.catalog
        and entry.key = award.achievement
        and entry.tier is not distinct from award.tier
    where award.revoked_at is null and entry.counts and entry.category <> ''
    group by award.user_id, entry.catalog, entry.category, entry.key
) as held
join (
    select catalog, category, count(distinct key) as total
    from achievement
    where counts
    group by catalog, category
) as whole on whole.catalog = held.catalog and whole.category = held.category
group by held.user_id, held.catalog, held.category, whole.total;

-- The run of the headline streak is present only while its last day is today or yesterday in the user's zone, or as
-- long ago as its grace allows. That is for the reader to say: zones come from the project's own tzdata, not from the
-- server's.
create view user_profile as
select
    whole.*,
    (
        select badge.tier from user_achievement as badge
        where badge.user_id = whole.user_id
            and badge.catalog = whole.catalog
            and badge.tier is not null
            and badge.revoked_at is null
        order by array_position(header.tiers, badge.tier) desc nulls last
        limit 1
    ) as highest_tier,
    (
        select count(distinct (badge.achievement, badge.scope)) from user_achievement as badge
        where badge.user_id = whole.user_id and badge.catalog = whole.catalog and badge.revoked_at is null
    ) as badges,
    (
        select coalesce(array_agg(category order by completed_at, category), '{}') from user_category
        where user_category.user_id = whole.user_id and user_category.catalog = whole.catalog and is_complete
    ) as categories_completed,
    standing.level,
    standing.xp as level_value,
    standing.xp_into_level,
    standing.xp_to_next_level
from (
    select
        part.user_id,
        part.catalog,
        sum(part.points)::bigint as points,
        sum(part.awards)::bigint as awards,
        max(part.last_earned_at) as last_earned_at,
        max((part.streaks -> header.headline_streak ->> 'longest')::integer) as streak_longest,
        max(date '1970-01-01' + (part.streaks -> header.headline_streak ->> 'first_day')::integer) as streak_first_day,
        max(date '1970-01-01' + (part.streaks -> header.headline_streak ->> 'last_day')::integer) as streak_last_day,
        coalesce(max(part.zone), max(header.timezone)) as zone,
        coalesce(max(part.xp), 0) as xp,
        sum(part.award_xp)::bigint as award_xp
    from (
        select
            user_id,
            catalog,
            points,
            1 as awards,
            earned_at as last_earned_at,
            null::jsonb as streaks,
            null as zone,
            null::bigint as xp,
            user_achievement.xp as award_xp
        from user_achievement
        where revoked_at is null
        union all
        select
            progress.user_id,
            metrics.key,
            0,
            0,
            null,
            progress.streaks -> metrics.key,
            progress.zone,
            (metrics.value ->> 'xp')::bigint,
            0
        from user_progress as progress
        cross join jsonb_each(progress.metrics) as metrics
    ) as part
    left join catalog as header on header.catalog = part.catalog
    group by part.user_id, part.catalog
) as whole
left join catalog as header on header.catalog = whole.catalog
left join user_level as standing on standing.user_id = whole.user_id and standing.catalog = whole.catalog;

-- All that happened to a user, in the order of `at`. Page by (at, id, what): no two rows have all three.
create view user_history as
select
    award.user_id,
    award.catalog,
    award.earned_at as at,
    award.id,
    'award' as what,
    award.achievement as key,
    award.tier,
    award.scope,
    null::bigint as level,
    entry.name,
    entry.icon,
    award.points,
    award.xp,
    coalesce(entry.is_secret, false) as is_secret,
    award.revoked_at is null as is_held
from user_achievement as award
left join achievement as entry
    on entry.catalog = award.catalog
    and entry.key = award.achievement
    and entry.tier is not distinct from award.tier
union all
select
    award.user_id,
    award.catalog,
    award.revoked_at,
    award.id,
    'revocation',
    award.achievement,
    award.tier,
    award.scope,
    null,
    entry.name,
    entry.icon,
    -award.points,
    -award.xp,
    coalesce(entry.is_secret, false),
    false
from user_achievement as award
left join achievement as entry
    on entry.catalog = award.catalog
    and entry.key = award.achievement
    and entry.tier is not distinct from award.tier
where award.revoked_at is not null
union all
select user_id, catalog, earned_at, id, 'level', metric, null, '', level, null, null, 0, 0, false, true
from user_level_reached
union all
select user_id, catalog, earned_at, id, 'challenge', challenge, null, day::text, null, name, null, 0, xp, false, true
from user_challenge;

-- Users of a catalog: those who had an event of it.
create view known_user as
select progress.user_id, since.key as catalog, since.value::timestamptz as since
from user_progress as progress
cross join jsonb_each_text(progress.known_since) as since;

-- Beside the declared rarity, the one that is measured. Under 20 users it says nothing: percent is null.
create view achievement_rarity as
select
    entry.catalog,
    entry.key as achievement,
    entry.tier,
    coalesce(held.holders, 0) as holders,
    coalesce(known.users, 0) as users,
    case when known.users >= 20 then round(100.0 * coalesce(held.holders, 0) / known.users, 2) end as percent,
    held.first_earned_at,
    held.last_earned_at
from achievement as entry
left join (
    select
        catalog,
        achievement,
        tier,
        count(distinct user_id) as holders,
        min(earned_at) as first_earned_at,
        max(earned_at) as last_earned_at
    from user_achievement
    where revoked_at is null
    group by catalog, achievement, tier
) as held
    on held.catalog = entry.catalog and held.achievement = entry.key and held.tier is not distinct from entry.tier
left join (select catalog, count(*) as users from known_user group by catalog) as known
    on known.catalog = entry.catalog;

-- How well a catalog does, in five numbers. The first: how many users hold something.
create view success_users_with_award as
select
    header.catalog,
    count(known.user_id) as users,
    count(held.user_id) as holders,
    round(100.0 * count(held.user_id) / nullif(count(known.user_id), 0), 2) as percent
from catalog as header
left join known_user as known on known.catalog = header.catalog
left join (select distinct catalog, user_id from user_achievement where revoked_at is null) as held
    on held.catalog = header.catalog and held.user_id = known.user_id
group by header.catalog;

-- The second: how much they hold on average, those who hold nothing included.
create view success_awards_per_user as
select
    header.catalog,
    count(known.user_id) as users,
    coalesce(sum(held.awards), 0)::bigint as awards,
    round(coalesce(sum(held.awards), 0) / nullif(count(known.user_id), 0), 2) as average
from catalog as header
left join known_user as known on known.catalog = header.catalog
left join (
    select catalog, user_id, count(*) as awards from user_achievement where revoked_at is null group by 1, 2
) as held on held.catalog = header.catalog and held.user_id = known.user_id
group by header.catalog;

-- The third: what is earned most and least. Place 1 of `most` is held by most users, place 1 of `least` by fewest;
-- of tiers any counts, and what is inactive has no place.
create view success_most_and_least_earned as
select
    entry.catalog,
    entry.key as achievement,
    count(distinct held.user_id) as holders,
    rank() over (partition by entry.catalog order by count(distinct held.user_id) desc) as most,
    rank() over (partition by entry.catalog order by count(distinct held.user_id)) as least
from achievement as entry
left join user_achievement as held
    on held.catalog = entry.catalog
    and held.achievement = entry.key
    and held.tier is not distinct from entry.tier
    and held.revoked_at is null
where entry.is_active
group by entry.catalog, entry.key;

-- The fourth: how long it takes from a user's first event to the first award, of those who have one.
create view success_time_to_first_award as
select
    header.catalog,
    count(waited.duration) as users,
    avg(waited.duration) as mean,
    percentile_cont(0.5) within group (order by waited.duration) as median
from catalog as header
left join (
    select known.catalog, greatest(interval '0', min(award.earned_at) - known.since) as duration
    from known_user as known
    join user_achievement as award on award.catalog = known.catalog and award.user_id = known.user_id
    group by known.catalog, known.user_id, known.since
) as waited on waited.catalog = header.catalog
group by header.catalog;

-- The fifth: how much is earned over time, by days in UTC. Days without an award have no row.
create view success_unlock_rate as
select
    catalog,
    (earned_at at time zone 'UTC')::date as day,
    count(*) as awards,
    count(distinct user_id) as users
from user_achievement
group by catalog, (earned_at at time zone 'UTC')::date;
