"""Reads properties of pictures, and whether there is an index, from the head of Matroska (RFC 9559). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

_EBML, _SEGMENT, _CLUSTER, _TRACKS, _TRACK = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
_CUES, _SEEK_HEAD, _SEEK, _SEEK_ID = 0x1C53BB6B, 0x114D9B74, 0x4DBB, 0x53AB
_TRACK_TYPE, _PICTURE = 0x83, 1
_VIDEO = 0xE0
#: PixelCropLeft, -Top, -Right, -Bottom.
_BORDERS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
_MAPPING, _EXTRA = 0x41E4, 0x41ED
_ID_TYPE = 0x41E7
_DOLBY = (int.from_bytes(b"dvcC", "big"), int.from_bytes(b"dvvC", "big"))
_LONGEST_ID, _LONGEST_SIZE, _LONGEST_NUMBER = 4, 8, 8


@dataclass(frozen=True, slots=True)
class Picture:
    """Display properties of a track: borders to crop (left, top, right, bottom), and Dolby Vision."""

    borders: tuple[int, int, int, int] = (0, 0, 0, 0)
    dolby_vision: bytes = b""


def picture_at(head: bytes, number: int) -> Picture:
    """Returns the properties of the n-th video track, from 0; defaults if the head lacks it."""
    pictures = [track for track in _tracks(head) if _number(track, _TRACK_TYPE) == _PICTURE]
    return _picture(pictures[number]) if 0 <= number < len(pictures) else Picture()


def has_index(head: bytes) -> bool:
    """Returns whether the file has an index of key frames, before its first cluster or found from there."""
    segment = next((content for name, content in _elements(head) if name == _SEGMENT), b"")
    for name, content in _elements(segment):
        if name == _CLUSTER:
            return False
        if name == _CUES or (name == _SEEK_HEAD and _CUES in _places(content)):
            return True
    return False


def _places(seek_head: bytes) -> Iterator[int]:
    """Yields the kinds of elements that a SeekHead leads to."""
    for name, content in _elements(seek_head):
        if name == _SEEK:
            yield _number(content, _SEEK_ID)


def _tracks(head: bytes) -> Iterator[bytes]:
    segment = next((content for name, content in _elements(head) if name == _SEGMENT), b"")
    for name, content in _elements(segment):
        if name == _CLUSTER:
            return
        if name == _TRACKS:
            yield from (track for kind, track in _elements(content) if kind == _TRACK)


def _picture(track: bytes) -> Picture:
    video = next((content for name, content in _elements(track) if name == _VIDEO), b"")
    left, top, right, bottom = (_number(video, name) for name in _BORDERS)
    mappings = [content for name, content in _elements(track) if name == _MAPPING]
    dolby = (
        extra
        for mapping in mappings
        if _number(mapping, _ID_TYPE) in _DOLBY
        for name, extra in _elements(mapping)
        if name == _EXTRA
    )
    return Picture((left, top, right, bottom), next(dolby, b""))


def _number(content: bytes, wanted: int) -> int:
    found = next((data for name, data in _elements(content) if name == wanted), b"")
    return int.from_bytes(found[:_LONGEST_NUMBER], "big")


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (ID, content) of each element. The last one may be cut off."""
    at = 0
    while at < len(data):
        width = _width(data[at])
        if width > _LONGEST_ID:
            return
        name, at = int.from_bytes(data[at : at + width], "big"), at + width
        width = _width(data[at]) if at < len(data) else _LONGEST_SIZE + 1
        if width > _LONGEST_SIZE:
            return
        unknown = (1 << 7 * width) - 1  # all ones: the size was unknown when the element was written
        size, at = int.from_bytes(data[at : at + width], "big") & unknown, at + width
        end = len(data) if size == unknown else at + size
        yield name, data[at:end]
        at = end


def _width(first: int) -> int:
    """Returns the length in bytes of a number that begins with that byte."""
    return 9 - first.bit_length()
