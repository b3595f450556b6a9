-- Long films are encoded in chunks, by any number of workers. In a table of its own, so that a chunk changes no version of
-- the video. The rows are state and no history: a trigger removes them when the encode is over.

ALTER TABLE encodes
  ADD COLUMN plan jsonb,           -- NULL: not planned yet, or encoded by one worker
  ADD COLUMN chunks_left integer,  -- 0: all are done; -1: a worker has begun to finish the film
  ADD COLUMN listed_at timestamptz; -- when the lists of early playback last grew

CREATE TABLE encode_chunks (
  video_id    uuid NOT NULL,
  number      integer NOT NULL,
  chunk       integer NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('picture', 'sound', 'copy')),
  start_frame integer NOT NULL CHECK (start_frame >= 0),
  frames      integer CHECK (frames > 0),         -- NULL: up to the end of the film
  seconds     double precision NOT NULL CHECK (seconds >= 0),  -- of the film that it adds to the progress
  is_released boolean NOT NULL DEFAULT false,     -- it has a job
  tries       integer NOT NULL DEFAULT 0,         -- runs that began; the fence of the chunk
  forgiven    integer NOT NULL DEFAULT 0,         -- those that count as no try
  worker      text,
  position    double precision NOT NULL DEFAULT 0,  -- seconds of the running try
  speed       double precision,
  done_at     timestamptz,
  listed      jsonb,                              -- the segments as early playback needs them
  segments    jsonb,                              -- of a chunk that is done, with their measures
  PRIMARY KEY (video_id, number, chunk),
  FOREIGN KEY (video_id, number) REFERENCES encodes (video_id, number) ON DELETE CASCADE,
  CHECK ((done_at IS NULL) = (segments IS NULL))
);

-- Small files that the last step needs: pictures of the storyboard, the poster, texts.
CREATE TABLE encode_chunk_files (
  video_id uuid NOT NULL,
  number   integer NOT NULL,
  chunk    integer NOT NULL,
  name     text NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
  data     bytea NOT NULL,
  PRIMARY KEY (video_id, number, chunk, name),
  FOREIGN KEY (video_id, number, chunk) REFERENCES encode_chunks (video_id, number, chunk) ON DELETE CASCADE
);
ALTER TABLE encode_chunk_files ALTER COLUMN data SET STORAGE EXTERNAL;  -- compressed by the worker

-- A trigger, so that a cancellation by the previous release and an UPDATE in psql end the chunks too.
CREATE FUNCTION videos_end_chunks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM encode_chunks WHERE video_id = NEW.id AND number <= OLD.encode_number;
  UPDATE encodes SET plan = NULL, chunks_left = NULL
  WHERE video_id = NEW.id AND number = OLD.encode_number AND (plan IS NOT NULL OR chunks_left IS NOT NULL);
  RETURN NULL;
END $$;
CREATE TRIGGER videos_chunks AFTER UPDATE OF status, deleted_at ON videos FOR EACH ROW
WHEN (
  OLD.status = 'PROCESSING' AND OLD.deleted_at IS NULL AND (NEW.status <> 'PROCESSING' OR NEW.deleted_at IS NOT NULL)
)
EXECUTE FUNCTION videos_end_chunks();
