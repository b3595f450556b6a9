-- One row for each successful call of a write method, inserted in the transaction of the write. It has no foreign key,
-- because it outlives the video. `changed` has new values of columns, never free text, tokens or URLs.

CREATE TABLE trail (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT now(),
  principal  text NOT NULL,
  kind       text NOT NULL,
  issuer     text NOT NULL,
  peer       text NOT NULL,
  method     text NOT NULL,
  video_id   uuid NOT NULL,
  owner      text NOT NULL,
  outcome    text NOT NULL CHECK (outcome IN ('CHANGED', 'UNCHANGED')),
  reason     text NOT NULL DEFAULT '',
  request_id text NOT NULL,
  changed    jsonb NOT NULL
);
CREATE INDEX trail_at ON trail (at);
CREATE INDEX trail_video_id ON trail (video_id);
