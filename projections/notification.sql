-- name: copy_notifications
copy notification (id, created_at, user_id, type, title, message, link, metadata) from stdin with (format binary);

-- name: copy_deliveries
copy notification_delivery (notification_id, subscriber) from stdin with (format binary);

-- name: create_incoming
create temporary table if not exists incoming_notification (like notification) on commit delete rows;

-- name: copy_incoming
copy incoming_notification (id, created_at, user_id, type, title, message, link, metadata)
from stdin with (format binary);

-- name: insert_notifications
-- Only for awards that appeared in this transaction; a rebuilt read model finds its notifications there.
with made as (
    insert into notification (id, user_id, type, title, message, link, metadata, created_at)
    select id, user_id, type, title, message, link, metadata, created_at
    from incoming_notification
    where (metadata ->> 'outcome_id')::uuid in (select appeared_award.id from appeared_award)
    on conflict do nothing
    returning id
)
insert into notification_delivery (notification_id, subscriber)
select id, 'default' from made
on conflict do nothing;

-- name: insert_notices
with made as (
    insert into notification (id, user_id, type, title, message, link, metadata, created_at)
    select id, user_id, type, title, message, link, metadata, created_at
    from json_to_recordset(%s::json) as notice (
        id uuid, user_id text, type text, title text, message text, link text, metadata jsonb, created_at timestamptz
    )
    on conflict do nothing
    returning id
)
insert into notification_delivery (notification_id, subscriber)
select id, 'default' from made
on conflict do nothing;
