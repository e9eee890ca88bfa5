-- All rows of a page may change in one transaction: with room for as many again, none of them needs a new index entry.
-- Pages that are there already keep their filling until they are written again.

alter table user_progress set (fillfactor = 45);
