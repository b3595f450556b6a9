-- What a caller asked of an encode: the JSON of EncodeOptions. The release before ignores it, and encodes of it
-- have the defaults.
ALTER TABLE encodes ADD COLUMN options jsonb NOT NULL DEFAULT '{}';
