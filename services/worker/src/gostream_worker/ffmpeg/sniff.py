"""What the first bytes and the outermost boxes of a file say, before any library parses it."""

import re
from typing import BinaryIO

from gostream_worker.failures import Code, ProcessingFailedError

#: Playlists, descriptions, subtitles and pictures: media to the library, but no uploads.
_REFUSED = tuple(
    re.compile(pattern)
    for pattern in (
        rb"(\xef\xbb\xbf)?\s*#EXTM3U",
        rb"ffconcat version",
        rb"v=0\r?\n[os]=",
        rb"(\xef\xbb\xbf)?WEBVTT",
        rb"(\xef\xbb\xbf)?\s*\d+\r?\n\d\d:\d\d:\d\d[,.]\d{3} -->",
        rb"\x89PNG\r\n",
        rb"GIF8[79]a",
        rb"\xff\xd8\xff",
        rb"(?s)RIFF....WEBP",
    )
)
_BOX = re.compile(rb"[a-zA-Z0-9 ]{4}")
#: The rest is not looked at: a served file costs a request for each.
_MAX_BOXES = 10_000
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def refused_by_signature(head: bytes) -> None:
    """Raises ProcessingFailedError for what is certainly not a container of audio and video."""
    if any(pattern.match(head) for pattern in _REFUSED):
        raise ProcessingFailedError(Code.UNSUPPORTED_CONTAINER, "not a container of video")


def is_cut_off(file: BinaryIO, size: int) -> bool:
    """Whether an MP4 or MOV file ends before its last box does, or has no index; False for other files."""
    offset, boxes = 0, set[bytes]()
    for _ in range(_MAX_BOXES):
        if offset >= size:
            break
        file.seek(offset)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if not boxes and kind not in _FIRST_BOXES:
            return False
        if len(header) < 8 or not _BOX.fullmatch(kind):
            break  # trailing bytes that are no box; players ignore them
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - offset
        boxes.add(kind)
        if offset + length > size:
            return kind in (b"mdat", b"moov", b"moof")
        offset += max(length, 8)
    return bool(boxes) and b"moov" not in boxes
