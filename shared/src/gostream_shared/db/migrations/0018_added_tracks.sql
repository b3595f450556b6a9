-- Subtitles that were added to a video besides those of its source. In a table of their own: only their publication
-- changes the version of the video. The URL may contain a secret, so it is kept only until the file was fetched, or the
-- video was deleted.

CREATE TABLE added_tracks (
  video_id    uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
  id          uuid NOT NULL,
  -- Negative, this is the number of its row in stored_bytes.
  number      integer GENERATED ALWAYS AS IDENTITY,
  language    text NOT NULL CHECK (length(language) BETWEEN 1 AND 35),
  name        text NOT NULL CHECK (length(name) <= 100),
  is_default  boolean NOT NULL,
  is_forced   boolean NOT NULL,
  is_sdh      boolean NOT NULL,
  state       text NOT NULL CHECK (state IN ('UPLOADING', 'PREPARING', 'READY', 'FAILED')),
  error_code  text NOT NULL DEFAULT '',
  -- Begun preparations that did not end.
  tries       integer NOT NULL DEFAULT 0,
  url         text CHECK (length(url) BETWEEN 1 AND 2048),
  size_bytes  bigint NOT NULL CHECK (size_bytes >= 0),
  request_id  text,
  fingerprint text NOT NULL DEFAULT '',
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (video_id, id)
);
CREATE UNIQUE INDEX added_tracks_request_id ON added_tracks (video_id, request_id) WHERE request_id IS NOT NULL;
CREATE UNIQUE INDEX added_tracks_default ON added_tracks (video_id) WHERE is_default;

-- A trigger, so that a deletion by the previous release forgets the URLs too.
CREATE FUNCTION videos_forget_track_urls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE added_tracks SET url = NULL WHERE video_id = NEW.id AND url IS NOT NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER videos_track_urls AFTER UPDATE OF deleted_at ON videos FOR EACH ROW
WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
EXECUTE FUNCTION videos_forget_track_urls();
