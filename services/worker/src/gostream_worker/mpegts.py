"""Our own look into the segments that the encoder wrote: a pure function of their bytes.

Only what the playlists need is read: one packet in six or so, found by slicing, so that a segment costs
milliseconds. The input is our own encoder's output, not the user's file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_PACKET = 188
_SYNC = 0x47
_CLOCK = 90_000
_SAMPLES = 1024  # of one AAC frame
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class NotOurSegmentError(ValueError):
    """The bytes are not a segment as our encoder writes them."""


class EmptySegmentError(NotOurSegmentError):
    """A segment without content: what the encoder leaves when it could decode nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFrame:
    """Where a picture stands that needs no other one: bytes of its segment."""

    offset: int
    size: int
    pts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One segment of one elementary stream. Times in ticks of 90 kHz; `end` only of sound is known here.

    `header` is the size of the tables before the first picture or sound, without which none can be read.
    """

    size: int
    frames: int
    first_pts: int
    last_pts: int
    codec: str  # RFC 6381
    header: int = 0
    key_frames: tuple[KeyFrame, ...] = ()
    end: int | None = None


def measure_video(data: bytes) -> Measured:
    """A segment of H.264. Raises NotOurSegmentError and EmptySegmentError."""
    units = list(_pes_units(data, range(0xE0, 0xF0)))
    if not units:
        raise EmptySegmentError("no picture")
    times = [_pts(unit) for unit in units]
    return Measured(
        size=len(data),
        frames=len(units),
        first_pts=min(times),
        last_pts=max(times),
        codec=_avc_codec(_payload(data, units[0], limit=8)),
        header=units[0].offset,
        key_frames=tuple(_key_frames(data, units)),
    )


def _key_frames(data: bytes, units: Sequence["_Unit"]) -> Iterator[KeyFrame]:
    ends = [unit.offset for unit in units[1:]] + [len(data)]
    for unit, end in zip(units, ends, strict=True):
        adaptation = data[unit.offset + 3] & 0x20 and data[unit.offset + 4]
        if adaptation and data[unit.offset + 5] & 0x40:  # random_access_indicator
            yield KeyFrame(offset=unit.offset, size=end - unit.offset, pts=_pts(unit))


def measure_audio(data: bytes) -> Measured:
    """A segment of AAC in ADTS frames. Raises NotOurSegmentError and EmptySegmentError."""
    units = list(_pes_units(data, range(0xC0, 0xE0)))
    if not units:
        raise EmptySegmentError("no sound")
    frames, ticks, codec = 0, 0, ""
    for unit in units:
        for header in _adts_headers(_payload(data, unit)):
            rate = _AAC_RATES[header[2] >> 2 & 0xF]
            frames, ticks = frames + 1, ticks + _SAMPLES * _CLOCK // rate
            codec = codec or f"mp4a.40.{(header[2] >> 6) + 1}"
    first, last = _pts(units[0]), _pts(units[-1])
    return Measured(
        size=len(data), frames=frames, first_pts=first, last_pts=last, codec=codec, end=first + ticks
    )


@dataclass(frozen=True, slots=True)
class _Unit:
    """Where a PES packet begins: the offset of its first transport packet, its PID, and its first bytes."""

    offset: int
    pid: int
    head: bytes


def _pes_units(data: bytes, stream_ids: range) -> Iterator[_Unit]:
    if len(data) % _PACKET or data[::_PACKET].strip(bytes([_SYNC])):
        raise NotOurSegmentError("not whole transport packets")
    for number, flags in enumerate(data[1::_PACKET]):
        if not flags & 0x40:  # payload_unit_start_indicator
            continue
        offset = number * _PACKET
        head = _packet_payload(data, offset)
        if head[:3] == b"\0\0\1" and head[3] in stream_ids:
            yield _Unit(offset, (flags & 0x1F) << 8 | data[offset + 2], head)


def _packet_payload(data: bytes, offset: int) -> bytes:
    control = data[offset + 3] >> 4 & 3
    skip = 4 + (1 + data[offset + 4] if control & 2 else 0)
    return data[offset + skip : offset + _PACKET] if control & 1 else b""


def _payload(data: bytes, unit: _Unit, *, limit: int | None = None) -> bytes:
    """The elementary stream's bytes of one PES packet, from at most `limit` transport packets."""
    parts = [unit.head[9 + unit.head[8] :]]
    for offset in range(unit.offset + _PACKET, len(data), _PACKET):
        if (data[offset + 1] & 0x1F) << 8 | data[offset + 2] != unit.pid:
            continue
        if data[offset + 1] & 0x40 or (limit is not None and len(parts) >= limit):
            break
        parts.append(_packet_payload(data, offset))
    return b"".join(parts)


def _pts(unit: _Unit) -> int:
    b = unit.head
    if not b[7] & 0x80:
        raise NotOurSegmentError("no time stamp")
    return (b[9] >> 1 & 7) << 30 | b[10] << 22 | b[11] >> 1 << 15 | b[12] << 7 | b[13] >> 1


def _avc_codec(stream: bytes) -> str:
    """`avc1.PPCCLL` of the sequence parameter set, which stands before the first picture."""
    at = stream.find(b"\0\0\1")
    while at >= 0 and at + 7 <= len(stream):
        if stream[at + 3] & 0x1F == 7:
            return f"avc1.{stream[at + 4 : at + 7].hex()}"
        at = stream.find(b"\0\0\1", at + 3)
    raise NotOurSegmentError("no sequence parameter set before the first picture")


def _adts_headers(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at + 7 <= len(stream):
        header = stream[at : at + 7]
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or length < 7:
            raise NotOurSegmentError("not ADTS")
        yield header
        at += length
