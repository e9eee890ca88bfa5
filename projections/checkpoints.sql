-- name: create_positions
insert into projection_position (projection, topic, partition, next_position)
select %(projection)s, %(topic)s, beginning.partition, beginning.next_position
from unnest(%(partitions)s::integer[], %(beginnings)s::bigint[]) as beginning (partition, next_position)
on conflict do nothing;

-- name: read_positions
select partition, next_position
from projection_position
where projection = %(projection)s and topic = %(topic)s and partition = any(%(partitions)s);

-- name: move_positions
-- Moves only what still stands where this batch began: nobody else has written since.
update projection_position as held
set next_position = moved.next_position, updated_at = now()
from unnest(%(partitions)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[])
    as moved (partition, start, next_position)
where held.projection = %(projection)s
    and held.topic = %(topic)s
    and held.partition = moved.partition
    and held.next_position = moved.start
returning held.partition;
