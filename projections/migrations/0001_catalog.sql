-- The catalogs as they were last published. Written by the projection `achievement`.

create table catalog (
    catalog text collate "C" primary key,
    version integer not null,
    sha256 text not null,
    timezone text not null,
    headline_streak text collate "C",
    categories jsonb not null
);

-- An entry that a newer version no longer has stays, inactive: awards go on naming it.
create table achievement (
    catalog text collate "C" not null,
    key text collate "C" not null,
    version integer not null,
    name text not null,
    description text not null,
    message text not null,
    icon text not null,
    color_from text not null,
    color_to text not null,
    category text not null,
    type text not null,
    rarity text not null,
    points bigint not null,
    ord integer not null,
    is_active boolean not null,
    is_secret boolean not null,
    -- these three are null for an achievement with more than one condition
    criteria_type text check (criteria_type in ('count', 'threshold', 'cumulative', 'first_time', 'streak')),
    criteria_value bigint,
    tracking_field text,
    criteria jsonb not null,
    requires text[] not null,
    primary key (catalog, key)
);
