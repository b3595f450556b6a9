"""The rules by scope: master, groups, media playlists, segments, fragments, text, storyboards, tree."""

from gostream_conformance.rules import fragments, master, media, renditions, segments, storyboard, text, tree
from gostream_conformance.rules.rule import Rule

ALL: tuple[Rule, ...] = (
    *master.RULES,
    *renditions.RULES,
    *media.RULES,
    *segments.RULES,
    *fragments.RULES,
    *text.RULES,
    *storyboard.RULES,
    *tree.RULES,
)
