-- Notifies every committed version on a separate channel for the audit, independent of announcements.
CREATE OR REPLACE FUNCTION videos_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO cache_outbox (video_id, version) VALUES (NEW.id, NEW.version);
  PERFORM pg_notify('gostream_outbox', '');
  PERFORM pg_notify('gostream_changes', NEW.id || '|' || NEW.version);
  RETURN NULL;
END $$;
