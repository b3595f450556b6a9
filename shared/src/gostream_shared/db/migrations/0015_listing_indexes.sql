-- Indexes of the columns of 0012. Writes wait while they are built, reads do not.

-- A trusted extension: the owner of the database may create it.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
    CREATE EXTENSION pg_trgm;
  END IF;
EXCEPTION
  WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE EXCEPTION 'the extension pg_trgm cannot be created: %', SQLERRM
      USING HINT = 'Let an administrator run CREATE EXTENSION pg_trgm in this database, then repeat: gostream-migrate up';
END $$;

-- The keys of titles of before. Without triggers, because the videos do not change for anybody.
ALTER TABLE videos DISABLE TRIGGER USER;
UPDATE videos SET title_key = title_key_of(title) WHERE octet_length(title) <> length(title) AND title_key IS NULL;
ALTER TABLE videos ENABLE TRIGGER USER;

CREATE UNIQUE INDEX videos_external_id ON videos (user_id, external_id)
  WHERE external_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX videos_expires_at ON videos (expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;

-- Listings, as in 0001. A listing with deleted videos scans one index for the live videos and one for the others. The
-- indexes of labels and titles have no order: PostgreSQL sorts what they find, or filters an index with an order if much
-- would be found. Without fastupdate, a search does not read a list of late additions.
CREATE INDEX videos_newest_of_user_and_status ON videos (user_id, status, created_at DESC, id DESC)
  WHERE deleted_at IS NULL;
CREATE INDEX videos_deleted ON videos (created_at DESC, id DESC) WHERE undelete_until IS NOT NULL;
CREATE INDEX videos_deleted_of_user ON videos (user_id, created_at DESC, id DESC) WHERE undelete_until IS NOT NULL;
CREATE INDEX videos_newest_of_external_id ON videos (external_id, created_at DESC, id DESC)
  WHERE external_id IS NOT NULL AND (deleted_at IS NULL OR undelete_until IS NOT NULL);
CREATE INDEX videos_labels ON videos USING gin (label_terms) WITH (fastupdate = off)
  WHERE label_terms <> '{}' AND (deleted_at IS NULL OR undelete_until IS NOT NULL);
CREATE INDEX videos_title ON videos USING gin (title gin_trgm_ops) WITH (fastupdate = off)
  WHERE deleted_at IS NULL OR undelete_until IS NOT NULL;
CREATE INDEX videos_title_key ON videos USING gin (title_key gin_trgm_ops) WITH (fastupdate = off)
  WHERE title_key IS NOT NULL AND (deleted_at IS NULL OR undelete_until IS NOT NULL);
