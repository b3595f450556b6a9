"""Parses segments of subtitles: WebVTT with X-TIMESTAMP-MAP (RFC 8216, 3.5)."""

import re
from dataclasses import dataclass

from gostream_conformance.errors import CuesError
from gostream_conformance.formats.webvtt import NO_CUE, TIMING, Block, milliseconds, parse_blocks

#: Names of files that are segments of subtitles.
TEXT_FILES = (".vtt", ".webvtt")
_MAP = "X-TIMESTAMP-MAP="
_LOCAL = re.compile(r"LOCAL:(?:([0-9]{2,6}):)?([0-5][0-9]):([0-5][0-9])\.([0-9]{3})")
_MPEGTS = re.compile(r"MPEGTS:([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class TextCue:
    """A text that is shown from `start` to `end` (ms)."""

    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TextSegment:
    """The cues of a segment. The time `local` (ms) of its cues is `mpegts` (90 kHz) in the other media."""

    cues: tuple[TextCue, ...] = ()
    local: int = 0
    mpegts: int = 0


def parse_text(data: bytes) -> TextSegment:
    """Returns the cues in file order. Raises CuesError at the first error."""
    header, *blocks = parse_blocks(data)
    local, mpegts = _timestamp_map(header)
    cues = tuple(_cue(block) for block in blocks if not NO_CUE.fullmatch(block[0][1]))
    return TextSegment(cues, local, mpegts)


def _timestamp_map(header: Block) -> tuple[int, int]:
    """Returns the two times of the map; without one, zero is zero (RFC 8216, 3.5)."""
    maps = [(number, text) for number, text in header if text.startswith(_MAP)]
    if not maps:
        return 0, 0
    number, text = maps[0]
    parts = text.removeprefix(_MAP).split(",")
    local = next(filter(None, map(_LOCAL.fullmatch, parts)), None)
    mpegts = next(filter(None, map(_MPEGTS.fullmatch, parts)), None)
    if len(maps) > 1 or len(parts) != 2 or not local or not mpegts:
        raise CuesError("X-TIMESTAMP-MAP must have LOCAL and MPEGTS once", line=number)
    return milliseconds(*local.groups()), int(mpegts[1])


def _cue(block: Block) -> TextCue:
    """Parses a cue: an optional identifier, a timing line, and lines of text."""
    if "-->" not in block[0][1] and len(block) > 1:
        block = block[1:]
    number, times = block[0]
    timing = TIMING.fullmatch(times)
    if not timing:
        raise CuesError("a cue without a timing line", line=number)
    for line, text in block[1:]:
        if "-->" in text:
            raise CuesError("an arrow in the text of a cue", line=line)
    return TextCue(number, milliseconds(*timing.groups()[:4]), milliseconds(*timing.groups()[4:]))
