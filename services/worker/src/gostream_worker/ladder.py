"""Which renditions a source gets: a pure function of probe and profile."""
