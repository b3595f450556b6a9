"""Checks the first bytes and the top-level boxes of a file, before a library parses it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from gostream_worker.failures import Code, ProcessingFailedError

#: Playlists, descriptions, subtitles and pictures: libavformat reads them, but they are not videos.
_REFUSED = tuple(
    re.compile(pattern)
    for pattern in (
        rb"(\xef\xbb\xbf)?\s*#EXTM3U",
        rb"ffconcat version",
        rb"v=0\r?\n[os]=",
        rb"(\xef\xbb\xbf)?WEBVTT",
        rb"(\xef\xbb\xbf)?\s*\d+\r?\n\d\d:\d\d:\d\d[,.]\d{3} -->",
        rb"(\xef\xbb\xbf)?\[Script Info\]",
        rb"\x89PNG\r\n",
        rb"GIF8[79]a",
        rb"\xff\xd8\xff",
        rb"(?s)RIFF....WEBP",
        # AVIF and HEIF, also sequences: players show these files as pictures.
        rb"(?s)....ftyp(avif|avis|hei[cxms]|hev[cxms]|mif1|msf1)",
    )
)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_BOX = re.compile(rb"[a-zA-Z0-9 ]{4}")
#: More boxes are not read: a served file costs one request per box.
_MAX_BOXES = 10_000
_FRAGMENT = b"moof"
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def refused_by_signature(head: bytes) -> None:
    """Raises ProcessingFailedError for a file that is certainly no container of audio and video."""
    if any(pattern.match(head) for pattern in _REFUSED):
        raise ProcessingFailedError(Code.UNSUPPORTED_CONTAINER, "not a container of video")


def is_text(head: bytes) -> bool:
    """Returns whether these first bytes are plain text, which some subtitle demuxers accept."""
    return not _NO_TEXT.search(head)


@dataclass(frozen=True, slots=True)
class Box:
    """A top-level box of an MP4 or MOV file, with its declared length."""

    kind: bytes
    offset: int
    length: int


def boxes_of(file: BinaryIO, size: int, *, to_fragments: bool = False) -> tuple[Box, ...]:
    """Returns the top-level boxes in order; () for other files.

    `to_fragments`: stops at the first fragment. A file may have one per second.
    """
    found: list[Box] = []
    for box in _walk(file, size):
        if not found and box.kind not in _FIRST_BOXES:
            break
        found.append(box)
        if len(found) == _MAX_BOXES or (to_fragments and box.kind == _FRAGMENT):
            break
    return tuple(found)


def _walk(file: BinaryIO, size: int) -> Iterator[Box]:
    """Yields boxes up to trailing bytes that are no box, which players ignore."""
    offset = 0
    while offset < size:
        file.seek(offset)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if len(header) < 8 or not _BOX.fullmatch(kind):
            return
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - offset
        yield Box(kind, offset, max(length, 8))
        offset += max(length, 8)


def is_cut_off(boxes: Sequence[Box], size: int) -> bool:
    """Returns whether an MP4 or MOV file ends within its last box, or has no index. False for other files."""
    if not boxes:
        return False
    if boxes[-1].offset + boxes[-1].length > size:
        return boxes[-1].kind in (b"mdat", b"moov", _FRAGMENT)
    return all(box.kind != b"moov" for box in boxes)


def is_fragmented(boxes: Sequence[Box]) -> bool:
    """Returns whether the index is spread over the file."""
    return any(box.kind == _FRAGMENT for box in boxes)
