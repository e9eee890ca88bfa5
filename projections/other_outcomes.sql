-- Every statement takes its outcomes as a JSON array and returns the ids of those that changed something: a repeated
-- outcome changes nothing, and nobody is told of it again.

-- name: revoke_awards
update user_achievement as award
set revoked_at = told.revoked_at,
    revocation = jsonb_build_object(
        'outcome_id', told.id, 'reasons', told.reasons, 'evidence', told.evidence, 'revoked_on', told.awarded_at
    )
from json_to_recordset(%s::json) as told (
    id uuid, award_id uuid, revoked_at timestamptz, reasons jsonb, evidence jsonb, awarded_at timestamptz
)
where award.id = told.award_id and award.revoked_at is null
returning told.id::text;

-- name: insert_levels
insert into user_level_reached (
    id, user_id, catalog, level, metric, value, earned_at, awarded_at, evidence, catalog_version, catalog_sha256,
    origin, replay_id
)
select
    id, user_id, catalog, level, metric, value, earned_at, awarded_at, evidence, catalog_version, catalog_sha256,
    origin, replay_id
from json_to_recordset(%s::json) as told (
    id uuid, user_id text, catalog text, level bigint, metric text, value bigint, earned_at timestamptz,
    awarded_at timestamptz, evidence jsonb, catalog_version bigint, catalog_sha256 text, origin text, replay_id text
)
on conflict do nothing
returning id::text;

-- name: insert_challenges
insert into user_challenge (
    id, user_id, catalog, challenge, day, name, description, type, metric, value, target, xp, command_id, earned_at,
    awarded_at, evidence, catalog_version, catalog_sha256, origin, replay_id
)
select
    id, user_id, catalog, challenge, day, name, description, type, metric, value, target, xp, command_id, earned_at,
    awarded_at, evidence, catalog_version, catalog_sha256, origin, replay_id
from json_to_recordset(%s::json) as told (
    id uuid, user_id text, catalog text, challenge text, day date, name text, description text, type text, metric text,
    value bigint, target bigint, xp bigint, command_id text, earned_at timestamptz, awarded_at timestamptz,
    evidence jsonb, catalog_version bigint, catalog_sha256 text, origin text, replay_id text
)
on conflict do nothing
returning id::text;

-- name: insert_answers
insert into command_answer (id, command_id, user_id, command, status, reason, message, missing, answered_at)
select id, command_id, user_id, command, status, reason, message, missing, awarded_at
from json_to_recordset(%s::json) as told (
    id uuid, command_id text, user_id text, command text, status text, reason text, message text, missing jsonb,
    awarded_at timestamptz
)
on conflict do nothing
returning id::text;

-- name: insert_replays
insert into replay_completed (id, replay_id, partition, notify, catalogs, completed_at)
select id, replay_id, partition, notify, catalogs, awarded_at
from json_to_recordset(%s::json) as told (
    id uuid, replay_id text, partition integer, notify text, catalogs jsonb, awarded_at timestamptz
)
on conflict do nothing
returning id::text;
