-- Every version of a video that is not being processed has an event, so that a reader of events can keep copies of videos:
-- also when its downloads are ready, or when an added track was renamed or deleted. The trigger videos_event writes the
-- other events; this one writes nothing if that one does.
CREATE FUNCTION videos_note_other_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_event('video.updated', NEW, NULL);
  RETURN NULL;
END $$;
CREATE TRIGGER videos_other_event AFTER UPDATE ON videos FOR EACH ROW
WHEN (NEW.status NOT IN ('PENDING_UPLOAD', 'PROCESSING') AND OLD.status = NEW.status
  AND OLD.deleted_at IS NULL AND NEW.deleted_at IS NULL
  AND (NEW.playable_number IS NULL OR OLD.playable_number IS NOT DISTINCT FROM NEW.playable_number)
  AND (OLD.title, OLD.user_id, OLD.content_type, OLD.labels, OLD.external_id, OLD.expires_at,
       OLD.playback_policy, OLD.playback_epoch) IS NOT DISTINCT FROM
      (NEW.title, NEW.user_id, NEW.content_type, NEW.labels, NEW.external_id, NEW.expires_at,
       NEW.playback_policy, NEW.playback_epoch))
EXECUTE FUNCTION videos_note_other_change();
