-- Which Redis server, under which PostgreSQL timeline, the caches belong to. A failover of either begins a new
-- epoch: entries written under the one before cannot be reached any more. See docs/explanation/caching.md.

CREATE TABLE cache_epochs (
  epoch        bigint PRIMARY KEY,
  redis_server text NOT NULL,
  timeline     bigint NOT NULL,
  seen_at      timestamptz NOT NULL DEFAULT now()
);

-- The epoch of a process that talks to `server`; NULL while another server is the one in use: a process that was
-- cut off must not read a server that misses invalidations. Epochs contain the timeline, so that a standby that
-- was promoted without the latest rows cannot issue a number anew.
CREATE FUNCTION cache_epoch(server text, line bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  latest cache_epochs;
BEGIN
  SELECT * INTO latest FROM cache_epochs ORDER BY epoch DESC LIMIT 1;
  IF latest.redis_server = server AND latest.timeline = line THEN
    UPDATE cache_epochs SET seen_at = now()
    WHERE epoch = latest.epoch AND seen_at < now() - interval '5 seconds';
    RETURN latest.epoch;
  END IF;
  LOCK TABLE cache_epochs IN SHARE ROW EXCLUSIVE MODE;
  SELECT * INTO latest FROM cache_epochs ORDER BY epoch DESC LIMIT 1;
  IF latest.redis_server = server AND latest.timeline = line THEN
    RETURN latest.epoch;
  END IF;
  IF latest.timeline = line AND latest.seen_at > now() - interval '15 seconds'
     AND EXISTS (SELECT FROM cache_epochs WHERE redis_server = server AND timeline = line) THEN
    RETURN NULL;
  END IF;
  INSERT INTO cache_epochs (epoch, redis_server, timeline)
  VALUES (greatest(coalesce(latest.epoch, 0) + 1, line << 32), server, line)
  RETURNING epoch INTO latest.epoch;
  RETURN latest.epoch;
END $$;
