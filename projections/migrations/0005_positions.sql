-- How far each projection has read. A row moves in the transaction that writes what was read.

create table projection_position (
    projection text collate "C" not null,
    topic text collate "C" not null,
    partition integer not null,
    next_position bigint not null,
    updated_at timestamptz not null default now(),
    primary key (projection, topic, partition)
) with (fillfactor = 50);
