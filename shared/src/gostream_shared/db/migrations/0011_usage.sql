-- What each owner uses. Triggers count, so that the previous release, workers and an UPDATE in psql are counted too.

CREATE TABLE owner_usage (
  owner        text PRIMARY KEY,
  videos       bigint NOT NULL DEFAULT 0,
  stored_bytes bigint NOT NULL DEFAULT 0,
  encodes      bigint NOT NULL DEFAULT 0,
  -- The turn of the owner's latest encode in the queue.
  turn         integer NOT NULL DEFAULT 0
);
CREATE INDEX owner_usage_turn ON owner_usage (turn);

-- Exceptions for single owners; NULL = the default of the API, 0 = no limit.
CREATE TABLE owner_limits (
  owner        text PRIMARY KEY,
  videos       bigint CHECK (videos >= 0),
  stored_bytes bigint CHECK (stored_bytes >= 0),
  encodes      bigint CHECK (encodes >= 0)
);

-- Bytes in the object store; number 0 is the source, other numbers are published encodes. In a separate table, because
-- they outlive the deletion of the video and do not change its version.
CREATE TABLE stored_bytes (
  video_id uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
  number   integer NOT NULL,
  owner    text NOT NULL,
  bytes    bigint NOT NULL CHECK (bytes >= 0),
  PRIMARY KEY (video_id, number)
);
CREATE INDEX stored_bytes_owner ON stored_bytes (owner);

-- Subtracts what a row was, and adds what it is. Owner "" is nobody: without authentication, every write would lock its
-- row. Two owners are locked in the order of their names.
CREATE FUNCTION usage_change(
  old_owner text, old_videos int, old_bytes bigint, old_encodes int,
  new_owner text, new_videos int, new_bytes bigint, new_encodes int
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO owner_usage AS u (owner, videos, stored_bytes, encodes)
  SELECT owner, sum(videos), sum(bytes), sum(encodes)
  FROM (VALUES
    (old_owner, -old_videos, -old_bytes, -old_encodes), (new_owner, new_videos, new_bytes, new_encodes)
  ) AS change (owner, videos, bytes, encodes)
  WHERE owner <> ''
  GROUP BY owner HAVING (sum(videos), sum(bytes), sum(encodes)) <> (0, 0, 0)
  ORDER BY owner
  ON CONFLICT (owner) DO UPDATE SET
    videos = u.videos + excluded.videos,
    stored_bytes = u.stored_bytes + excluded.stored_bytes,
    encodes = u.encodes + excluded.encodes
$$;

CREATE FUNCTION videos_count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  old_videos int := 0; old_encodes int := 0; new_videos int := 0; new_encodes int := 0;
BEGIN
  IF TG_OP <> 'INSERT' AND OLD.deleted_at IS NULL THEN
    old_videos := 1; old_encodes := (OLD.status = 'PROCESSING')::int;
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.deleted_at IS NULL THEN
    new_videos := 1; new_encodes := (NEW.status = 'PROCESSING')::int;
  END IF;
  PERFORM usage_change(
    coalesce(OLD.user_id, ''), old_videos, 0, old_encodes, coalesce(NEW.user_id, ''), new_videos, 0, new_encodes
  );
  RETURN NULL;
END $$;

CREATE FUNCTION stored_bytes_count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM usage_change(
    coalesce(OLD.owner, ''), 0, coalesce(OLD.bytes, 0), 0, coalesce(NEW.owner, ''), 0, coalesce(NEW.bytes, 0), 0
  );
  RETURN NULL;
END $$;

-- At the commit: a writer locks the row of the owner last and for a short time, after every row of a video. A writer
-- that needs the sum earlier uses SET CONSTRAINTS.
CREATE CONSTRAINT TRIGGER videos_usage AFTER INSERT OR DELETE ON videos
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION videos_count_usage();
CREATE CONSTRAINT TRIGGER videos_usage_change AFTER UPDATE ON videos
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (
  (OLD.user_id, OLD.deleted_at IS NULL, OLD.status = 'PROCESSING')
    IS DISTINCT FROM
  (NEW.user_id, NEW.deleted_at IS NULL, NEW.status = 'PROCESSING')
)
EXECUTE FUNCTION videos_count_usage();

CREATE FUNCTION videos_note_source() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stored_bytes (video_id, number, owner, bytes) VALUES (NEW.id, 0, NEW.user_id, NEW.size_bytes);
  RETURN NULL;
END $$;
CREATE TRIGGER videos_source AFTER INSERT ON videos
FOR EACH ROW WHEN (NEW.size_bytes IS NOT NULL) EXECUTE FUNCTION videos_note_source();

CREATE FUNCTION videos_move_stored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE stored_bytes SET owner = NEW.user_id WHERE video_id = NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER videos_new_owner AFTER UPDATE ON videos
FOR EACH ROW WHEN (OLD.user_id <> NEW.user_id) EXECUTE FUNCTION videos_move_stored();

-- For encodes of the previous release, which has recorded no bytes: the bit rates of the renditions times the duration.
CREATE FUNCTION estimated_bytes(publication jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT (sum((rendition ->> 'average_bandwidth')::numeric)
    * extract(epoch FROM (publication ->> 'duration')::interval) / 8)::bigint
  FROM jsonb_array_elements(publication -> 'renditions') AS rendition
$$;

-- The videos of before. Writers wait for the end of this transaction, because it has created triggers.
INSERT INTO stored_bytes (video_id, number, owner, bytes)
SELECT id, 0, user_id, size_bytes FROM videos WHERE deleted_at IS NULL AND size_bytes IS NOT NULL
UNION ALL
SELECT id, published_number, user_id, coalesce(estimated_bytes(publication), 0)
FROM videos WHERE deleted_at IS NULL AND published_number IS NOT NULL;

INSERT INTO owner_usage (owner, videos, encodes, stored_bytes)
SELECT user_id, count(*), count(*) FILTER (WHERE status = 'PROCESSING'),
  (SELECT coalesce(sum(bytes), 0) FROM stored_bytes WHERE owner = user_id)
FROM videos WHERE deleted_at IS NULL AND user_id <> '' GROUP BY user_id;

CREATE CONSTRAINT TRIGGER stored_bytes_usage AFTER INSERT OR UPDATE OR DELETE ON stored_bytes
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stored_bytes_count_usage();
