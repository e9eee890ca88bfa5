-- name: claim
-- A delivery that was claimed as often as allowed and never answered for ends as dead instead.
with due as (
    select notification_id, subscriber
    from notification_delivery
    where subscriber = %(subscriber)s and state in ('pending', 'leased') and visible_at <= now()
    order by visible_at
    limit %(count)s
    for update skip locked
)
update notification_delivery as delivery
set state = case when delivery.attempts < %(attempts_max)s then 'leased' else 'dead' end,
    attempts = least(delivery.attempts + 1, %(attempts_max)s),
    lease = case when delivery.attempts < %(attempts_max)s then %(lease)s::uuid end,
    lease_until = case when delivery.attempts < %(attempts_max)s then now() + %(seconds)s * interval '1 second' end,
    visible_at = now() + %(seconds)s * interval '1 second',
    last_error = case
        when delivery.attempts < %(attempts_max)s then delivery.last_error
        else coalesce(delivery.last_error, 'claimed and never answered for')
    end
from due
left join notification on notification.id = due.notification_id
where delivery.notification_id = due.notification_id and delivery.subscriber = due.subscriber
returning
    delivery.state,
    delivery.notification_id,
    delivery.dedupe,
    delivery.attempts,
    delivery.lease_until,
    notification.user_id,
    notification.type,
    notification.title,
    notification.message,
    notification.link,
    notification.metadata,
    notification.created_at;

-- name: acknowledge
update notification_delivery
set state = 'done', lease = null, lease_until = null, last_error = null
where lease = %(lease)s and state = 'leased' and notification_id = any(%(notifications)s)
returning notification_id;

-- name: give_back
-- Full jitter: anywhere between now and the exponential backoff, so that failures do not come back together.
update notification_delivery
set state = case when attempts < %(attempts_max)s then 'pending' else 'dead' end,
    visible_at = now()
        + random() * least(%(cap_s)s, %(base_s)s * 2 ^ least(attempts - 1, 30)) * interval '1 second',
    lease = null,
    lease_until = null,
    last_error = %(error)s
where lease = %(lease)s and state = 'leased' and notification_id = any(%(notifications)s)
returning notification_id;

-- name: extend
update notification_delivery
set lease_until = now() + %(seconds)s * interval '1 second', visible_at = now() + %(seconds)s * interval '1 second'
where lease = %(lease)s and state = 'leased' and notification_id = any(%(notifications)s)
returning notification_id;

-- name: depth
select state, count(*), extract(epoch from now() - min(visible_at))::float8
from notification_delivery
where state in ('pending', 'leased')
group by state
union all
select 'dead', count(*), null
from notification_delivery
where state = 'dead';
