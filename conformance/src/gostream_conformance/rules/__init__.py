"""The rules by scope: the master, the media playlists, the segments, the storyboards, the tree."""

from gostream_conformance.rules import master, media, segments, storyboard, tree
from gostream_conformance.rules.rule import Rule

ALL: tuple[Rule, ...] = (*master.RULES, *media.RULES, *segments.RULES, *storyboard.RULES, *tree.RULES)
