"""Puts added subtitles into a master playlist, and takes them out. Pure."""

import re
from collections.abc import Sequence

from gostream_worker.object_names import ADDED, TEXT
from gostream_worker.publish.playlists import TextRendition, subtitles_line

_SUBTITLES = "#EXT-X-MEDIA:TYPE=SUBTITLES,"
_SOUND = "#EXT-X-MEDIA:TYPE=AUDIO,"
_VARIANT = "#EXT-X-STREAM-INF:"
_HEAD = "#EXT-X-INDEPENDENT-SEGMENTS"
_GROUP = f',SUBTITLES="{TEXT}"'
_IS_ADDED = re.compile(rf'{re.escape(_SUBTITLES)}.*,URI="v[0-9]+/{ADDED}[^"]*"')


def with_added(master: str, texts: Sequence[TextRendition]) -> str:
    """Returns the playlist with these added subtitles after those of the source, and no other added ones.

    The result is what `master_playlist` writes for both.
    """
    lines = [line for line in master.split("\n") if not _IS_ADDED.fullmatch(line)]
    has_texts = bool(texts) or any(line.startswith(_SUBTITLES) for line in lines)
    after = max(
        number for number, line in enumerate(lines) if line == _HEAD or line.startswith((_SUBTITLES, _SOUND))
    )
    lines[after + 1 : after + 1] = map(subtitles_line, texts)
    return "\n".join(_variant(line, has_texts) if line.startswith(_VARIANT) else line for line in lines)


def _variant(line: str, has_texts: bool) -> str:
    """Returns the line of a variant with the group of subtitles, or without it."""
    plain = line.replace(_GROUP, "")
    if not has_texts:
        return plain
    head, captions, rest = plain.partition(",CLOSED-CAPTIONS=")
    return f"{head}{_GROUP}{captions}{rest}"
