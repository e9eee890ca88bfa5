-- name: upsert_catalog
-- Returns nothing when a newer version is there already.
insert into catalog (catalog, version, sha256, timezone, headline_streak, categories)
values (%(catalog)s, %(version)s, %(sha256)s, %(timezone)s, %(headline_streak)s, %(categories)s)
on conflict (catalog) do update set
    version = excluded.version,
    sha256 = excluded.sha256,
    timezone = excluded.timezone,
    headline_streak = excluded.headline_streak,
    categories = excluded.categories
where catalog.version <= excluded.version
returning version;

-- name: upsert_achievement
insert into achievement (
    catalog, key, version, name, description, message, icon, color_from, color_to, category, type, rarity, points,
    ord, is_active, is_secret, criteria_type, criteria_value, tracking_field, criteria, requires
)
values (
    %(catalog)s, %(key)s, %(version)s, %(name)s, %(description)s, %(message)s, %(icon)s, %(color_from)s,
    %(color_to)s, %(category)s, %(type)s, %(rarity)s, %(points)s, %(ord)s, %(is_active)s, %(is_secret)s,
    %(criteria_type)s, %(criteria_value)s, %(tracking_field)s, %(criteria)s, %(requires)s
)
on conflict (catalog, key) do update set
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
    requires = excluded.requires;

-- name: retire_achievements
update achievement set is_active = false
where catalog = %(catalog)s and version < %(version)s and is_active;
