-- The encode with early playback; see processing.playable_url.

ALTER TABLE videos ADD COLUMN playable_number integer;
