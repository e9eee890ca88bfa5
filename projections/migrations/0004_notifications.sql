-- What users are told, and the queue a notification service takes it from.

create table notification (
    id uuid primary key,
    user_id text collate "C" not null,
    type text not null,
    title text not null,
    message text not null,
    link text,
    metadata jsonb not null,
    created_at timestamptz not null
);

create index notification_of_user on notification (user_id, created_at desc, id);

-- What the user did with a notification: no read model, never rebuilt. No row means unread.
create table notification_state (
    notification_id uuid primary key,
    read_at timestamptz,
    deleted_at timestamptz
);

create view user_notification as
select notification.*, chosen.read_at, chosen.read_at is not null as read
from notification
left join notification_state as chosen on chosen.notification_id = notification.id
where chosen.deleted_at is null;

-- The queue. visible_at is when a row may be claimed: of a leased one, the end of its lease.
-- dedupe is for the sender: two messages with the same one are the same message.
create table notification_delivery (
    notification_id uuid not null,
    subscriber text collate "C" not null,
    state text not null default 'pending' check (state in ('pending', 'leased', 'done', 'dead')),
    visible_at timestamptz not null default now(),
    attempts integer not null default 0,
    lease uuid,
    lease_until timestamptz,
    last_error text,
    dedupe text not null generated always as (notification_id::text || '/' || subscriber) stored,
    primary key (notification_id, subscriber),
    check ((state = 'leased') = (lease is not null)),
    check ((lease is null) = (lease_until is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

create index notification_delivery_open on notification_delivery (subscriber, visible_at) include (state)
where state in ('pending', 'leased');

create index notification_delivery_dead on notification_delivery (subscriber) where state = 'dead';
