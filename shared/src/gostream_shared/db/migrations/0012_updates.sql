-- Labels, external ids, expiry times and undeletion of videos, and the indexes of the listings that filter by them.

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

ALTER TABLE videos
  ADD COLUMN labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
  -- What a listing can ask for: each key, and each key with its value, which are unambiguous because a key has no "=".
  -- In a column, because PostgreSQL has statistics about the elements of a column, and choosing a plan needs them.
  ADD COLUMN label_terms text[] NOT NULL DEFAULT '{}',
  ADD COLUMN external_id text CHECK (length(external_id) BETWEEN 1 AND 128),
  ADD COLUMN expires_at timestamptz,
  -- The end of the time in which a deleted video can be undeleted. NULL: its objects may be gone. The previous release
  -- leaves it NULL, and removes the objects a minute after the deletion.
  ADD COLUMN undelete_until timestamptz,
  ADD CHECK (undelete_until IS NULL OR deleted_at IS NOT NULL);

CREATE FUNCTION videos_set_label_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT coalesce(array_agg(term), '{}') INTO NEW.label_terms
  FROM jsonb_each_text(NEW.labels) AS pair (key, value), LATERAL (VALUES (key), (key || '=' || value)) AS terms (term);
  RETURN NEW;
END $$;
CREATE TRIGGER videos_label_terms BEFORE INSERT OR UPDATE OF labels ON videos FOR EACH ROW
WHEN (NEW.labels <> '{}' OR NEW.label_terms <> '{}') EXECUTE FUNCTION videos_set_label_terms();

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
