-- TriggerProcess repeated with the same request_id starts nothing, even when that encode has ended.

ALTER TABLE encodes ADD COLUMN request_id text;
CREATE UNIQUE INDEX encodes_request_id ON encodes (video_id, request_id) WHERE request_id IS NOT NULL;
