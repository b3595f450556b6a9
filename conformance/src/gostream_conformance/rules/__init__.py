"""The rules by scope: master, groups, playlists, segments, fragments, sound alone, text, and the rest."""

from gostream_conformance.rules import (
    fragments,
    master,
    media,
    renditions,
    segments,
    sounds,
    storyboard,
    text,
    tree,
)
from gostream_conformance.rules.rule import Rule

ALL: tuple[Rule, ...] = (
    *master.RULES,
    *renditions.RULES,
    *media.RULES,
    *segments.RULES,
    *fragments.RULES,
    *sounds.RULES,
    *text.RULES,
    *storyboard.RULES,
    *tree.RULES,
)
