"""The rules by scope: master, its groups, media playlists, segments, sound alone, text, storyboards, tree."""

from gostream_conformance.rules import master, media, renditions, segments, sounds, storyboard, text, tree
from gostream_conformance.rules.rule import Rule

ALL: tuple[Rule, ...] = (
    *master.RULES,
    *renditions.RULES,
    *media.RULES,
    *segments.RULES,
    *sounds.RULES,
    *text.RULES,
    *storyboard.RULES,
    *tree.RULES,
)
