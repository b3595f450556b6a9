"""What is demanded, by scope: the master playlist, the media playlists, the segments, and the whole."""

from gostream_shared.conformance.rules import master, media, segments, whole
from gostream_shared.conformance.rules.rule import Rule

ALL: tuple[Rule, ...] = (*master.RULES, *media.RULES, *segments.RULES, *whole.RULES)
