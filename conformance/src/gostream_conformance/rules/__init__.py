"""The rules by scope: the master, its groups, media playlists, segments, text, storyboards, the tree."""

from gostream_conformance.rules import master, media, renditions, segments, storyboard, text, tree
from gostream_conformance.rules.rule import Rule

ALL: tuple[Rule, ...] = (
    *master.RULES,
    *renditions.RULES,
    *media.RULES,
    *segments.RULES,
    *text.RULES,
    *storyboard.RULES,
    *tree.RULES,
)
