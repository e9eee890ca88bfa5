-- What users earned. Written by the projection `user_achievement`, one row per outcome.

create table user_achievement (
    id uuid primary key,
    user_id text collate "C" not null,
    catalog text collate "C" not null,
    achievement text collate "C" not null,
    scope text collate "C" not null,
    tier text collate "C",
    n integer not null,
    earned_at timestamptz not null,
    awarded_at timestamptz not null,
    points bigint not null,
    xp bigint,
    rarity text not null,
    progress_at_unlock bigint,
    metadata jsonb not null,
    evidence_topic text not null,
    evidence_partition integer not null,
    evidence_offset bigint not null,
    evidence_event_id text not null,
    catalog_version integer not null,
    catalog_sha256 text not null,
    origin text not null check (origin in ('live', 'replay')),
    replay_id text,
    unique nulls not distinct (user_id, catalog, achievement, tier, scope, n)
);

-- What its owner decided about an award: no read model, never rebuilt. No row means public, not featured.
-- Without a foreign key, so that rebuilding user_achievement leaves it alone.
create table award_visibility (
    outcome_id uuid primary key,
    is_public boolean not null default true,
    featured boolean not null default false,
    updated_at timestamptz not null default now()
);

create view user_award as
select
    award.*,
    entry.name,
    entry.description,
    entry.message,
    entry.icon,
    entry.color_from,
    entry.color_to,
    entry.category,
    entry.type,
    coalesce(entry.is_secret, false) as is_secret,
    coalesce(chosen.is_public, true) as is_public,
    coalesce(chosen.featured, false) as featured
from user_achievement as award
left join achievement as entry on entry.catalog = award.catalog and entry.key = award.achievement
left join award_visibility as chosen on chosen.outcome_id = award.id;
