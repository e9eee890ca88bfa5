-- name: insert_notifications
-- Only for awards that appeared in this transaction; a rebuilt read model finds its notifications there.
with made as (
    insert into notification (id, user_id, type, title, message, link, metadata, created_at)
    select notification_id, user_id, 'achievement_unlocked', title, message, link, details, awarded_at
    from incoming_award
    join appeared_award using (id)
    where notification_id is not null
    on conflict do nothing
    returning id
)
insert into notification_delivery (notification_id, subscriber)
select id, 'default' from made
on conflict do nothing;
