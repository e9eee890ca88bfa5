-- What an award was called when a replay gave it: a digest names it without asking the catalog, which may be behind or
-- call it otherwise by now.
alter table user_achievement add column name text;
