-- Labels, external ids, expiry times and undeletion of videos. Their indexes are in 0015: an index that is built in the
-- transaction of ALTER TABLE would block reads.

ALTER TABLE videos
  ADD COLUMN labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
  -- What a listing can ask for: each key, and each key with its value, which are unambiguous because a key has no "=".
  -- In a column, because PostgreSQL has statistics about the elements of a column, and choosing a plan needs them.
  ADD COLUMN label_terms text[] NOT NULL DEFAULT '{}',
  -- Titles with other characters than ASCII: in lower case, with a code of ASCII letters for each such character. The
  -- trigrams of pg_trgm leave out what LC_CTYPE does not know as a letter, and the locale of our databases is C.
  ADD COLUMN title_key text,
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

-- Codes begin with U and have no other U, so a part of a key is the part of a title. Every other letter is in lower case.
CREATE FUNCTION title_key_of(title text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT string_agg(CASE WHEN ascii(letter) < 128 THEN letter
    ELSE 'U' || translate(to_hex(ascii(letter)), '0123456789abcdef', 'ABCDEFGHIJKLMNOP') END, '' ORDER BY place)
  FROM regexp_split_to_table(lower(title), '') WITH ORDINALITY AS letters (letter, place)
$$;
CREATE FUNCTION videos_set_title_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.title_key := CASE WHEN octet_length(NEW.title) <> length(NEW.title) THEN title_key_of(NEW.title) END;
  RETURN NEW;
END $$;
CREATE TRIGGER videos_title_key BEFORE INSERT OR UPDATE OF title ON videos FOR EACH ROW
WHEN (octet_length(NEW.title) <> length(NEW.title) OR NEW.title_key IS NOT NULL) EXECUTE FUNCTION videos_set_title_key();
