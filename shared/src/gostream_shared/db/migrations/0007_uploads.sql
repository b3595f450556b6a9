-- When the last upload URL of a video expires. Videos that wait for their upload long after that are abandoned. In a
-- table of its own: a repeated CreateVideo gives a new URL and does not change the video's version.

CREATE TABLE uploads (
  video_id   uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX uploads_expires_at ON uploads (expires_at);

INSERT INTO uploads (video_id, expires_at)
SELECT id, now() + interval '1 hour' FROM videos WHERE status = 'PENDING_UPLOAD' AND deleted_at IS NULL;
