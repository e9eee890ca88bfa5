-- The same key in another order: of a user's awards the achievement tells most apart, and with it second they are told
-- apart without comparing the catalog, which is nearly always the same. A tenth of what Postgres does for an award.
alter table user_achievement
    drop constraint user_achievement_user_id_catalog_achievement_tier_scope_n_key,
    add constraint user_achievement_is_one
        unique nulls not distinct (user_id, achievement, tier, scope, n, catalog);
