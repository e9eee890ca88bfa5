-- name: upsert_catalog
-- Returns nothing when a newer version is there already.
insert into catalog (
    catalog, version, sha256, timezone, headline_streak, categories, program, default_language, tiers, level_of,
    challenges_per_day
)
values (
    %(catalog)s, %(version)s, %(sha256)s, %(timezone)s, %(headline_streak)s, %(categories)s, %(program)s::jsonb,
    %(default_language)s, %(tiers)s, %(level_of)s, %(challenges_per_day)s
)
on conflict (catalog) do update set
    version = excluded.version,
    sha256 = excluded.sha256,
    timezone = excluded.timezone,
    headline_streak = excluded.headline_streak,
    categories = excluded.categories,
    program = excluded.program,
    default_language = excluded.default_language,
    tiers = excluded.tiers,
    level_of = excluded.level_of,
    challenges_per_day = excluded.challenges_per_day
where catalog.version <= excluded.version
returning version;

-- name: delete_levels
delete from catalog_level where catalog = %(catalog)s;

-- name: insert_levels
insert into catalog_level (catalog, level, starts_at)
select %(catalog)s, curve.level, curve.starts_at
from unnest(%(level_starts)s::bigint[]) with ordinality as curve (starts_at, level);

-- name: upsert_achievement
insert into achievement_entry (
    catalog, key, tier, version, name, description, message, icon, color_from, color_to, category, type, rarity,
    points, ord, is_active, is_secret, criteria_type, criteria_value, tracking_field, criteria, requires, rank, xp,
    is_public, revocable, event_types, scope_field, season, all_of, conditions, counts, translations,
    created_at, since_version, is_announced
)
values (
    %(catalog)s, %(key)s, %(tier)s, %(version)s, %(name)s, %(description)s, %(message)s, %(icon)s, %(color_from)s,
    %(color_to)s, %(category)s, %(type)s, %(rarity)s, %(points)s, %(ord)s, %(is_active)s, %(is_secret)s,
    %(criteria_type)s, %(criteria_value)s, %(tracking_field)s, %(criteria)s, %(requires)s, %(rank)s, %(xp)s,
    %(is_public)s, %(revocable)s, %(event_types)s, %(scope_field)s, %(season)s, %(all_of)s, %(conditions)s,
    %(counts)s, %(translations)s, %(created_at)s, %(version)s, %(is_announced)s
)
on conflict (catalog, key, tier) do update set
    version = excluded.version,
    name = excluded.name,
    description = excluded.description,
    message = excluded.message,
    icon = excluded.icon,
    color_from = excluded.color_from,
    color_to = excluded.color_to,
    category = excluded.category,
    type = excluded.type,
    rarity = excluded.rarity,
    points = excluded.points,
    ord = excluded.ord,
    is_active = excluded.is_active,
    is_secret = excluded.is_secret,
    criteria_type = excluded.criteria_type,
    criteria_value = excluded.criteria_value,
    tracking_field = excluded.tracking_field,
    criteria = excluded.criteria,
    requires = excluded.requires,
    rank = excluded.rank,
    xp = excluded.xp,
    is_public = excluded.is_public,
    revocable = excluded.revocable,
    event_types = excluded.event_types,
    scope_field = excluded.scope_field,
    season = excluded.season,
    all_of = excluded.all_of,
    conditions = excluded.conditions,
    counts = excluded.counts,
    translations = excluded.translations,
    created_at = least(achievement_entry.created_at, excluded.created_at),
    is_announced = achievement_entry.is_announced or excluded.is_announced;

-- name: retire_achievements
update achievement_entry set is_active = false, counts = false
where catalog = %(catalog)s and version < %(version)s and is_active;
