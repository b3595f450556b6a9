-- Sound alone: listings by kind, and the loudness that a caller wants. Encodes of earlier releases are films.

CREATE INDEX videos_newest_of_kind
  ON videos (coalesce(publication ->> 'media_kind', 'VIDEO'), created_at DESC, id DESC)
  WHERE publication IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX videos_newest_of_user_and_kind
  ON videos (user_id, coalesce(publication ->> 'media_kind', 'VIDEO'), created_at DESC, id DESC)
  WHERE publication IS NOT NULL AND deleted_at IS NULL;

ALTER TABLE encodes ADD COLUMN loudness text;
