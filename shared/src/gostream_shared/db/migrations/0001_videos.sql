-- Videos, their encodes, and the outbox that no write can forget.

CREATE TABLE videos (
  id               uuid PRIMARY KEY,
  user_id          text NOT NULL CHECK (length(user_id) <= 128),
  title            text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  content_type     text NOT NULL,
  size_bytes       bigint CHECK (size_bytes > 0),
  status           text NOT NULL DEFAULT 'PENDING_UPLOAD'
                   CHECK (status IN ('PENDING_UPLOAD', 'PROCESSING', 'READY', 'FAILED', 'CANCELLED')),
  version          bigint NOT NULL DEFAULT 1 CHECK (version > 0),
  encode_number    integer NOT NULL DEFAULT 0,
  attempt          integer NOT NULL DEFAULT 0,
  published_number integer,
  publication      jsonb,
  failure          jsonb,
  request_id       text,
  fingerprint      text NOT NULL DEFAULT '',
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  ready_at         timestamptz,
  deleted_at       timestamptz,
  CHECK ((publication IS NULL) = (published_number IS NULL)),
  CHECK (status <> 'READY' OR published_number = encode_number),
  CHECK ((status = 'FAILED') = (failure IS NOT NULL))
);

CREATE UNIQUE INDEX videos_request_id ON videos (user_id, request_id) WHERE request_id IS NOT NULL;
-- Listings walk one of these from the newest on, whatever the filter.
CREATE INDEX videos_newest ON videos (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX videos_newest_of_user ON videos (user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX videos_newest_of_status ON videos (status, created_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE encodes (
  video_id    uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
  number      integer NOT NULL,
  profile     text NOT NULL,
  outcome     text CHECK (outcome IN ('READY', 'FAILED', 'CANCELLED')),
  worker      text,
  stage       text NOT NULL DEFAULT 'queued',
  percent     real NOT NULL DEFAULT 0,
  log_tail    text NOT NULL DEFAULT '',
  created_at  timestamptz NOT NULL DEFAULT now(),
  started_at  timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (video_id, number)
);

-- Rows stay until their version was announced to every cache; see docs/explanation/caching.md.
CREATE TABLE cache_outbox (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  video_id   uuid NOT NULL,
  version    bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cache_outbox_video ON cache_outbox (video_id, version);

-- The row lock makes version order commit order, whoever writes: even an UPDATE typed into psql.
CREATE FUNCTION videos_bump_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.version := OLD.version + 1;
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE TRIGGER videos_version BEFORE UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION videos_bump_version();

CREATE FUNCTION videos_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO cache_outbox (video_id, version) VALUES (NEW.id, NEW.version);
  PERFORM pg_notify('gostream_outbox', '');
  RETURN NULL;
END $$;
CREATE TRIGGER videos_outbox AFTER INSERT OR UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION videos_note_change();
