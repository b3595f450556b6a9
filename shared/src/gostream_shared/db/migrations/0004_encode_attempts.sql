-- Attempts that an outage or a deploy ended are forgiven: they do not count as tries.

ALTER TABLE encodes
  ADD COLUMN forgiven integer NOT NULL DEFAULT 0,
  ADD COLUMN outage_since timestamptz;
