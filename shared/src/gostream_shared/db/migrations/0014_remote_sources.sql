-- Sources that nobody uploads. In a table of their own, so that fetching changes no version of the video. The URL may
-- contain a secret, so it is kept only until it was fetched, or the video was deleted.

CREATE TABLE remote_sources (
  video_id   uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
  url        text CHECK (length(url) BETWEEN 1 AND 2048),
  object_key text CHECK (length(object_key) BETWEEN 1 AND 1024),
  fetched_at timestamptz,
  size_bytes bigint,
  sha256     bytea,
  CHECK (url IS NULL OR object_key IS NULL)
);

-- A trigger, so that a deletion by the previous release forgets the URL too.
CREATE FUNCTION videos_forget_source_url() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE remote_sources SET url = NULL WHERE video_id = NEW.id AND url IS NOT NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER videos_source_url AFTER UPDATE OF deleted_at ON videos FOR EACH ROW
WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
EXECUTE FUNCTION videos_forget_source_url();
