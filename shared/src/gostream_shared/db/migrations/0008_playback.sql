-- Who may play a video, and the epoch of its signed URLs; see docs/how-to/protect-playback.md.

ALTER TABLE videos
  ADD COLUMN playback_policy text NOT NULL DEFAULT 'PUBLIC' CHECK (playback_policy IN ('PUBLIC', 'SIGNED', 'OFF')),
  ADD COLUMN playback_epoch integer NOT NULL DEFAULT 1 CHECK (playback_epoch > 0);

-- Videos whose gate objects may differ from their row. A row is deleted after the gates were made equal to the video's
-- row, as it was when the row here was seen.
CREATE TABLE gate_changes (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  video_id   uuid NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now(),
  due_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX gate_changes_due ON gate_changes (due_at);
CREATE INDEX gate_changes_video ON gate_changes (video_id);

-- A trigger, so that writers of the previous release and an UPDATE in psql are seen too. It may fire without need. The
-- second row repairs what a writer did that stalled in between.
CREATE FUNCTION videos_note_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO gate_changes (video_id, due_at)
  VALUES (NEW.id, now()), (NEW.id, now() + interval '1 minute');
  RETURN NULL;
END $$;
CREATE TRIGGER videos_gate AFTER UPDATE ON videos FOR EACH ROW
WHEN (
  (OLD.playback_policy, OLD.playback_epoch, OLD.deleted_at, OLD.published_number, OLD.playable_number)
    IS DISTINCT FROM
  (NEW.playback_policy, NEW.playback_epoch, NEW.deleted_at, NEW.published_number, NEW.playable_number)
  OR (OLD.status <> NEW.status AND NEW.published_number IS NULL)
)
EXECUTE FUNCTION videos_note_gate();

-- Videos of before get their gates from the first worker of this release.
INSERT INTO gate_changes (video_id)
SELECT id FROM videos
WHERE deleted_at IS NULL AND (published_number IS NOT NULL OR playable_number = encode_number);
