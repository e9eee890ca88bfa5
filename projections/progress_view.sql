-- name: read_views
select partition, catalogs, hidden from progress_view where partition = any(%s);

-- name: write_views
insert into progress_view (partition, catalogs, hidden)
select partition, catalogs, hidden
from json_to_recordset(%s::json) as seen (partition integer, catalogs jsonb, hidden jsonb)
on conflict (partition) do update set catalogs = excluded.catalogs, hidden = excluded.hidden;
