-- A repeated TriggerProcess with the same request_id starts no encode, even if the earlier encode has ended.

ALTER TABLE encodes ADD COLUMN request_id text;
CREATE UNIQUE INDEX encodes_request_id ON encodes (video_id, request_id) WHERE request_id IS NOT NULL;
