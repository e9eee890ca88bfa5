-- A full reprocessing folds everything anew in a namespace of its own, the shadow, beside the live one; it is compared,
-- and promoted when the operator says so.

alter table replay drop constraint replay_status_check;

alter table replay add constraint replay_status_check check (
    status in ('running', 'paused', 'promoting', 'cancelling', 'cancelled', 'activating', 'done', 'failed')
);

alter table replay drop constraint replay_kind_check;

alter table replay add constraint replay_kind_check check (kind in ('sweep', 'fold_and_merge', 'full', 'late'));

-- the namespace of the shadow, of a full one
alter table replay add column shadow text collate "C" check ((shadow is not null) = (kind = 'full'));

-- of a full one the text of the catalog and its file's name: the live processors hear of it when it is promoted
alter table replay add column source text;

alter table replay add column file text;

-- how often its promotion was asked for
alter table replay add column attempt integer not null default 0;

-- when its shadow was taken away
alter table replay add column dropped_at timestamptz;
