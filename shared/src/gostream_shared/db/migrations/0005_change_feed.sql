-- Every committed version on a channel of its own, for the audit: whoever announced it, however, if at all.
CREATE OR REPLACE FUNCTION videos_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO cache_outbox (video_id, version) VALUES (NEW.id, NEW.version);
  PERFORM pg_notify('gostream_outbox', '');
  PERFORM pg_notify('gostream_changes', NEW.id || '|' || NEW.version);
  RETURN NULL;
END $$;
