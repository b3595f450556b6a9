-- The event log: what has happened to each video. In tables of their own, so that events change no version. Triggers
-- fill it, so that writers of the previous release and an UPDATE in psql are logged too.

-- A sequence does not commit in order, so a reader that asks for `seq > last` loses events. Readers go by (xid, seq),
-- and only below pg_snapshot_xmin: every transaction below it has ended, so no event can appear there later.
CREATE TABLE events (
  xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq        bigint GENERATED ALWAYS AS IDENTITY,
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  type       text NOT NULL,
  video_id   uuid NOT NULL,
  version    bigint NOT NULL,
  user_id    text NOT NULL,
  data       jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (xid, seq)
);
CREATE INDEX events_of_owner ON events (user_id, xid, seq);
CREATE INDEX events_of_video ON events (video_id, xid, seq);
CREATE INDEX events_created_at ON events (created_at);

-- The position up to which events were deleted; a reader that stands before it may have lost some.
CREATE TABLE events_deleted (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  xid     xid8 NOT NULL,
  seq     bigint NOT NULL
);
INSERT INTO events_deleted (xid, seq) VALUES ('0', 0);

-- `previous` is the status before the change; NULL if the status did not change.
CREATE FUNCTION note_event(type text, video videos, previous text, more jsonb DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
  INSERT INTO events (type, video_id, version, user_id, data)
  VALUES (type, video.id, video.version, video.user_id, jsonb_strip_nulls(jsonb_build_object(
    'status', video.status, 'previous_status', previous, 'external_id', video.external_id,
    'error', CASE WHEN type = 'video.failed' THEN jsonb_build_object(
      'code', video.failure ->> 'code', 'message', video.failure ->> 'message') END
  )) || more)
$$;

CREATE FUNCTION videos_note_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before videos;
  previous text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM note_event('video.created', NEW, NULL);
    before := NEW;
    before.status := 'PENDING_UPLOAD';
  ELSE
    before := OLD;
  END IF;
  IF NEW.deleted_at IS NOT NULL THEN
    IF before.deleted_at IS NULL THEN
      PERFORM note_event(
        CASE WHEN NEW.expires_at <= now() THEN 'video.expired' ELSE 'video.deleted' END, NEW, NULL);
    END IF;
    RETURN NULL;
  END IF;
  IF before.deleted_at IS NOT NULL THEN
    PERFORM note_event('video.undeleted', NEW, NULL);
  END IF;
  IF before.status <> NEW.status THEN
    previous := before.status;
    -- A completed session and a fetch have logged their upload themselves.
    IF previous = 'PENDING_UPLOAD' AND NEW.status = 'PROCESSING'
      AND NOT EXISTS (SELECT FROM upload_sessions WHERE video_id = NEW.id AND state = 'COMPLETED')
      AND NOT EXISTS (SELECT FROM remote_sources WHERE video_id = NEW.id)
    THEN
      PERFORM note_event('video.uploaded', NEW, NULL);
    END IF;
    IF NEW.status <> 'PENDING_UPLOAD' THEN
      PERFORM note_event('video.' || lower(NEW.status), NEW, previous);
    END IF;
  ELSIF NEW.status = 'PROCESSING' AND before.encode_number <> NEW.encode_number THEN
    PERFORM note_event('video.processing', NEW, NULL);
  END IF;
  IF NEW.playable_number IS NOT NULL AND before.playable_number IS DISTINCT FROM NEW.playable_number THEN
    PERFORM note_event('video.playable', NEW, NULL);
  END IF;
  IF (before.title, before.user_id, before.content_type, before.labels, before.external_id, before.expires_at,
      before.playback_policy, before.playback_epoch) IS DISTINCT FROM
     (NEW.title, NEW.user_id, NEW.content_type, NEW.labels, NEW.external_id, NEW.expires_at,
      NEW.playback_policy, NEW.playback_epoch)
  THEN
    PERFORM note_event('video.updated', NEW, NULL);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER videos_event AFTER INSERT OR UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION videos_note_event();

-- What happens to the source and the added tracks of a video.
CREATE FUNCTION note_event_of(type text, of_video uuid, more jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
  SELECT note_event(type, videos, NULL, more), pg_notify('gostream_changes', id || '|' || version)
  FROM videos WHERE id = of_video AND deleted_at IS NULL
$$;

CREATE FUNCTION sources_note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_event_of(TG_ARGV[0], NEW.video_id);
  RETURN NULL;
END $$;
CREATE FUNCTION added_tracks_note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_event_of('track.' || lower(NEW.state), NEW.video_id, jsonb_build_object('track_id', NEW.id)
    || CASE WHEN NEW.state = 'FAILED' THEN jsonb_build_object('error', jsonb_build_object('code', NEW.error_code))
       ELSE '{}' END);
  RETURN NULL;
END $$;
CREATE TRIGGER added_tracks_event AFTER UPDATE ON added_tracks FOR EACH ROW
WHEN (OLD.state <> NEW.state AND NEW.state IN ('READY', 'FAILED')) EXECUTE FUNCTION added_tracks_note_event();
CREATE TRIGGER upload_sessions_completed AFTER UPDATE ON upload_sessions FOR EACH ROW
WHEN (OLD.state <> 'COMPLETED' AND NEW.state = 'COMPLETED') EXECUTE FUNCTION sources_note_event('video.uploaded');
CREATE TRIGGER upload_sessions_expired AFTER UPDATE ON upload_sessions FOR EACH ROW
WHEN (OLD.state <> 'EXPIRED' AND NEW.state = 'EXPIRED') EXECUTE FUNCTION sources_note_event('upload.expired');
CREATE TRIGGER remote_sources_fetched AFTER UPDATE ON remote_sources FOR EACH ROW
WHEN (OLD.fetched_at IS NULL AND NEW.fetched_at IS NOT NULL) EXECUTE FUNCTION sources_note_event('video.uploaded');
