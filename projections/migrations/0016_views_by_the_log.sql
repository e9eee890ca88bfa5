-- How the states of a partition are seen the newest control record of its changelog says.
drop table progress_view;
