-- The expiry of the last upload URL of a video. Videos that wait for their upload long after it are abandoned. In a
-- separate table, because a repeated CreateVideo returns a new URL without changing the version of the video.

CREATE TABLE uploads (
  video_id   uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX uploads_expires_at ON uploads (expires_at);

INSERT INTO uploads (video_id, expires_at)
SELECT id, now() + interval '1 hour' FROM videos WHERE status = 'PENDING_UPLOAD' AND deleted_at IS NULL;
