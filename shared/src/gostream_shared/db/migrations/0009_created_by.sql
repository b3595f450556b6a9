-- The principal that created a video; empty without authentication. Request ids belong to a principal. The index
-- videos_request_id stays, because the previous release names its columns in CreateVideo.

ALTER TABLE videos ADD COLUMN created_by text NOT NULL DEFAULT '' CHECK (length(created_by) <= 128);
CREATE UNIQUE INDEX videos_request_id_of_principal ON videos (created_by, request_id)
  WHERE request_id IS NOT NULL AND created_by <> '';
