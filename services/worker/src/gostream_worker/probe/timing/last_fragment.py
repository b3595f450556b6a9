"""Finds the last fragment or cluster of a recording whose header lacks the duration. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

_CLUSTER, _TIMECODE, _CHECKSUM = b"\x1f\x43\xb6\x75", 0xE7, 0xBF
_AFTER_THE_INDEX = (b"moof", b"mdat", b"styp", b"sidx", b"emsg", b"prft", b"free", b"mfra")
#: A box within boxes, as (kind, content).
_Inner = tuple[bytes, bytes]
#: Limit of checked marks: media data may contain a mark by chance, and a hostile file millions.
MOST_MARKS = 64


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment. `time`: its start in its track's ticks."""

    time: int


def last_cluster(tail: bytes) -> int | None:
    """Returns the time of the last cluster in a Matroska file's last bytes, in its ticks."""
    return next(
        (time for at in _from_the_end(tail, _CLUSTER) if (time := _cluster_time(tail, at + 4)) is not None),
        None,
    )


def last_fragment(tail: bytes, track: int) -> Fragment | None:
    """Returns the last fragment of that track in an MP4 file's last bytes."""
    for at in _from_the_end(tail, b"moof"):
        size = int.from_bytes(tail[max(0, at - 4) : at], "big")
        for kind, content in inner_boxes(tail[at + 4 : at - 4 + size]):
            time = _track_time(dict(inner_boxes(content)), track) if kind == b"traf" else None
            if time is not None:
                return Fragment(time)
    return None


def _from_the_end(data: bytes, mark: bytes) -> Iterator[int]:
    at = len(data)
    for _ in range(MOST_MARKS):
        at = data.rfind(mark, 0, at)
        if at < 0:
            return
        yield at


def _cluster_time(data: bytes, at: int) -> int | None:
    """Returns the time of a cluster whose size field is at `at`; a checksum may precede the time."""
    at += _width(data, at)
    if data[at : at + 2] == bytes((_CHECKSUM, 0x84)):
        at += 6
    header = data[at : at + 2]
    if len(header) < 2 or header[0] != _TIMECODE or not 0x81 <= header[1] <= 0x88:
        return None
    return int.from_bytes(data[at + 2 : at + 2 + (header[1] & 0x0F)], "big")


def _width(data: bytes, at: int) -> int:
    """Returns the length in bytes of a Matroska number, by its first byte."""
    return 9 - data[at].bit_length() if at < len(data) and data[at] else 8


def boxes_from(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields kind, start and declared end of each box of a recording from `at`."""
    while at + 8 <= len(data) and (kind := data[at + 4 : at + 8]) in _AFTER_THE_INDEX:
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            return
        yield kind, at, at + size
        at += size


def inner_boxes(data: bytes) -> Iterator[_Inner]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _track_time(boxes: dict[bytes, bytes], track: int) -> int | None:
    """Reads the track from tfhd and the time from tfdt: 8 bytes in version 1, else 4."""
    header, time = boxes.get(b"tfhd", b""), boxes.get(b"tfdt", b"")
    if int.from_bytes(header[4:8], "big") != track or len(time) < 8:
        return None
    return int.from_bytes(time[4 : 12 if time[0] == 1 else 8], "big")
