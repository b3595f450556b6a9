-- What keeps costs constant while tables grow.

-- The waiting encodes, for QUEUE_LIMIT: of all owners, and of one. An encode leaves the first index when it starts.
CREATE INDEX encodes_waiting ON encodes (video_id, number) WHERE stage = 'queued' AND outcome IS NULL;
CREATE INDEX videos_processing ON videos (user_id, id, encode_number)
  WHERE status = 'PROCESSING' AND deleted_at IS NULL;

-- The outbox is short and all of its rows are deleted. After an outage, the default of a fifth of the table would leave
-- the dead rows of the backlog to every poll.
ALTER TABLE cache_outbox SET (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000
);

-- Room in each page for the next version of a row, so that its indexes need no new entry. Pages of before stay full.
ALTER TABLE videos SET (fillfactor = 90);
