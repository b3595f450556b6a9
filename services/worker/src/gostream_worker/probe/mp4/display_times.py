"""Reads when samples are shown from the index of an MP4 or MOV file. Pure."""

import struct

from gostream_worker.probe.mp4.sample_entries import track_box
from gostream_worker.probe.timing.last_fragment import inner_boxes

#: Bytes of ctts before its entries, and of an entry (ISO/IEC 14496-12, 8.6.1.3).
_HEADER, _ENTRY = 8, 8


def display_lag(index: bytes, track: int) -> float | None:
    """Returns the longest seconds from a sample's decoding to its display; None without such a track."""
    media = track_box(index, track, (b"mdia",))
    scale = _time_scale(dict(inner_boxes(media)).get(b"mdhd", b""))
    if not scale:
        return None
    table = track_box(index, track, (b"mdia", b"minf", b"stbl", b"ctts"))[_HEADER:]
    earliest = latest = 0
    for _, offset in struct.iter_unpack(">Ii", table[: len(table) // _ENTRY * _ENTRY]):
        earliest, latest = min(earliest, offset), max(latest, offset)
    return (latest - earliest) / scale


def _time_scale(header: bytes) -> int:
    """Returns the ticks per second, which follow the times; these are longer in version 1."""
    at = 20 if header[:1] == b"\x01" else 12
    return int.from_bytes(header[at : at + 4], "big")
