-- A restored dump is another lineage: its cache_epochs is another table, or the cluster is another one. The timeline
-- tells nothing then, and the versions after the dump are issued again, so that entries of before must not be read.

-- Empty in rows of earlier releases: their epoch ends, because such a row may have come with a dump.
ALTER TABLE cache_epochs ADD COLUMN lineage text NOT NULL DEFAULT '';

-- The number of a lineage's first epoch contains the time: those after the dump may have used the next numbers.
CREATE OR REPLACE FUNCTION cache_epoch(server text, line bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  latest cache_epochs;
  present text := (SELECT system_identifier FROM pg_control_system()) || '.' || 'cache_epochs'::regclass::oid;
  started bigint := 0;
BEGIN
  SELECT * INTO latest FROM cache_epochs ORDER BY epoch DESC LIMIT 1;
  IF (latest.redis_server, latest.timeline, latest.lineage) = (server, line, present) THEN
    UPDATE cache_epochs SET seen_at = now()
    WHERE epoch = latest.epoch AND seen_at < now() - interval '5 seconds';
    RETURN latest.epoch;
  END IF;
  LOCK TABLE cache_epochs IN SHARE ROW EXCLUSIVE MODE;
  SELECT * INTO latest FROM cache_epochs ORDER BY epoch DESC LIMIT 1;
  IF (latest.redis_server, latest.timeline, latest.lineage) = (server, line, present) THEN
    RETURN latest.epoch;
  END IF;
  IF (latest.timeline, latest.lineage) = (line, present) AND latest.seen_at > now() - interval '15 seconds'
     AND EXISTS (
       SELECT FROM cache_epochs WHERE redis_server = server AND timeline = line AND lineage = present
     ) THEN
    RETURN NULL;
  END IF;
  IF latest.lineage IS DISTINCT FROM present THEN
    started := extract(epoch FROM clock_timestamp())::bigint;
  END IF;
  INSERT INTO cache_epochs (epoch, redis_server, timeline, lineage)
  VALUES (greatest(coalesce(latest.epoch, 0) + 1, (line << 32) + started), server, line, present)
  RETURNING epoch INTO latest.epoch;
  RETURN latest.epoch;
END $$;
