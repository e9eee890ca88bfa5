-- Since when an entry, and each tier of it, is there: the append time of the first record of the catalogs topic that
-- has it. The topic keeps every version, so a rebuilt table says the same.

delete from projection_position where projection = 'achievement';
delete from achievement;
delete from catalog_level;
delete from catalog;

alter table achievement add column created_at timestamptz not null;
