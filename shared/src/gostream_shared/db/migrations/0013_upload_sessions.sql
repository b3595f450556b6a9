-- 0013
-- The session of an upload in parts. A new generation replaces the row of an ended session. In a separate table, because
-- a session does not change the version of its video. The table `uploads` has the expiry of upload URLs.

CREATE TABLE upload_sessions (
  video_id        uuid PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
  generation      integer NOT NULL CHECK (generation > 0),
  store_upload_id text NOT NULL,
  size_bytes      bigint NOT NULL CHECK (size_bytes > 0),
  part_size       bigint NOT NULL CHECK (part_size > 0),
  state           text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'COMPLETED', 'ABORTED', 'EXPIRED')),
  created_at      timestamptz NOT NULL DEFAULT now(),
  expires_at      timestamptz NOT NULL
);
-- The comparison with the multipart uploads of the object store.
CREATE INDEX upload_sessions_open ON upload_sessions (store_upload_id) WHERE state = 'OPEN';
