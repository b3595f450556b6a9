"""Parses WebVTT files whose cues reference parts of pictures, strictly."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gostream_conformance.errors import CuesError

MAX_LINES = 200_000
_CLOCK = r"(?:([0-9]{2,6}):)?([0-5][0-9]):([0-5][0-9])\.([0-9]{3})"
TIMING = re.compile(rf"{_CLOCK}[ \t]+-->[ \t]+{_CLOCK}(?:[ \t].*)?")
_PART = re.compile(r"xywh=(?:pixel:)?([0-9]{1,6}),([0-9]{1,6}),([0-9]{1,6}),([0-9]{1,6})")
NO_CUE = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t].*)?")
Block = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Cue:
    """A part of a picture that is shown from `start` to `end` (ms); `part` None = the whole picture."""

    line: int
    start: int
    end: int
    uri: str
    part: Part | None


def parse_cues(data: bytes) -> tuple[Cue, ...]:
    """Returns all cues in file order. Raises CuesError at the first error."""
    blocks = parse_blocks(data)
    return tuple(_cue(block) for block in blocks[1:] if not NO_CUE.fullmatch(block[0][1]))


def parse_blocks(data: bytes) -> list[Block]:
    """Returns the blocks of a WebVTT file; the first is its header. Raises CuesError."""
    lines = _lines(data)
    if not re.fullmatch(r"\ufeff?WEBVTT(?:[ \t].*)?", lines[0]):
        raise CuesError("does not start with WEBVTT", line=1)
    blocks = list(_blocks(lines))
    for number, text in blocks[0]:
        if "-->" in text:
            raise CuesError("a cue in the header", line=number)
    return blocks


def _lines(data: bytes) -> list[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise CuesError("not UTF-8", line=1) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise CuesError(f"more than {MAX_LINES} lines", line=MAX_LINES)
    return lines


def _blocks(lines: list[str]) -> Iterator[Block]:
    """Yield the blocks between empty lines, with line numbers."""
    block: Block = []
    for number, line in enumerate([*lines, ""], start=1):
        if line:
            block.append((number, line))
        elif block:
            yield block
            block = []


def _cue(block: Block) -> Cue:
    """Parse a cue: an optional identifier, a timing line, and one line with a picture."""
    if "-->" not in block[0][1] and len(block) > 1:
        block = block[1:]
    number, times = block[0]
    timing = TIMING.fullmatch(times)
    if not timing:
        raise CuesError("a cue without a timing line", line=number)
    if len(block) != 2:
        raise CuesError("a cue must have one line with a picture", line=number)
    uri, mark, fragment = block[1][1].partition("#")
    part = _PART.fullmatch(fragment)
    if mark and not part:
        raise CuesError(f"#{fragment[:100]} is not a part of a picture", line=block[1][0])
    return Cue(
        line=number,
        start=milliseconds(*timing.groups()[:4]),
        end=milliseconds(*timing.groups()[4:]),
        uri=uri,
        part=Part(*map(int, part.groups())) if part else None,
    )


def milliseconds(hours: str | None, minutes: str, seconds: str, thousandths: str) -> int:
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(thousandths)
