-- The encode whose growing playlists may be played before it is READY; see processing.playable_url.

ALTER TABLE videos ADD COLUMN playable_number integer;
