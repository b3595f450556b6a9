"""Closes the continuity counters of a chunk's segments, so that the next chunk's segments can follow. Pure.

ffmpeg begins every counter with 0 in each process, but counters must continue from one segment to the next
(HLS authoring specification for Apple devices, 7.2). Layout of packets: ISO/IEC 13818-1, 2.4.3.
"""

from gostream_worker.failures import Code, ProcessingFailedError

_PACKET, _HEADER = 188, 4
_SYNC = 0x47
#: Values of a continuity counter.
_VALUES = 16
#: Bits of a packet's second and fourth byte.
_BEGINS_UNIT, _PID_HIGH = 0x40, 0x1F
_COUNTER, _HAS_PAYLOAD, _HAS_ADAPTATION = 0x0F, 0x10, 0x20
#: PIDs of the tables that ffmpeg writes: PAT, SDT, and PMT of its only programme.
_TABLES = frozenset({0x0000, 0x0011, 0x1000})
#: Bytes of payload that stay in a split packet: more than the header of a PES packet with both timestamps.
_STAYING = 20


class CounterClosing:
    """Rewrites the segments of one rung of one chunk, in their order.

    A segment keeps the first packet of each table, with the segment's number as its counter. The counter of
    the picture begins with 0 in every chunk, because it ends with 15 in every chunk.
    """

    def __init__(self, first: int) -> None:
        """`first`: the number of the chunk's first segment in the film."""
        self._number = first
        self._count = 0  # packets with a part of the picture

    def close(self, segment: bytes, *, is_last: bool) -> bytes:
        """Returns the segment with continuing counters. `is_last`: no segment of the chunk follows.

        Raises ProcessingFailedError INTERNAL if it is no transport stream of one track.
        """
        if len(segment) % _PACKET or segment[::_PACKET].strip(bytes([_SYNC])):
            raise _unreadable("not whole packets")
        data = bytearray(segment)
        repeated = self._renumber(data)
        for at in reversed(repeated):
            del data[at : at + _PACKET]
        self._number += 1
        if is_last and self._count % _VALUES:
            _split(data, _VALUES - self._count % _VALUES)
        return bytes(data)

    def _renumber(self, data: bytearray) -> list[int]:
        """Sets all counters. Returns the positions of repeated tables."""
        tables: set[int] = set()
        repeated, flags = [], bytearray(data[3::_PACKET])
        count, track, table_counter = self._count, -1, self._number % _VALUES
        headers = zip(data[1::_PACKET], data[2::_PACKET], flags, strict=True)
        for number, (high, low, control) in enumerate(headers):
            pid = (high & _PID_HIGH) << 8 | low
            if pid in _TABLES:
                if pid in tables:
                    repeated.append(number * _PACKET)
                tables.add(pid)
                flags[number] = control & ~_COUNTER | table_counter
                continue
            if pid != track:
                if track >= 0:
                    raise _unreadable("more than one track")
                track = pid
            if control & _HAS_PAYLOAD:
                count += 1
            flags[number] = control & ~_COUNTER | (count - 1) % _VALUES
        data[3::_PACKET] = flags
        self._count = count
        return repeated


def _split(data: bytearray, more: int) -> None:
    """Splits the last large packet of the track into `more` additional ones, of one byte each."""
    for at in range(len(data) - _PACKET, -1, -_PACKET):
        begins = _payload(data, at)
        if not _is_table(data, at) and at + _PACKET - begins >= more + _STAYING:
            break
    else:
        raise _unreadable("no packet can be split")
    for later in range(at + _PACKET, len(data), _PACKET):
        if not _is_table(data, later):
            data[later + 3] = _counted(data[later + 3], more)
    high, low, flags = data[at + 1 : at + _HEADER]
    adaptation, payload = bytes(data[at + _HEADER : begins]), bytes(data[begins : at + _PACKET])
    pieces = [_packet(high, low, flags, adaptation, payload[:-more])]
    for number, byte in enumerate(payload[-more:], 1):
        pieces.append(_packet(high & ~_BEGINS_UNIT, low, _counted(flags, number), b"", bytes([byte])))
    data[at : at + _PACKET] = b"".join(pieces)


def _packet(high: int, low: int, flags: int, adaptation: bytes, payload: bytes) -> bytes:
    """Returns a packet whose adaptation field is stuffed so that it is full."""
    size = _PACKET - _HEADER - len(payload)
    contents = adaptation[1:] or (b"\0" if size > 1 else b"")  # flags come first
    field = (bytes([size - 1]) + contents).ljust(size, b"\xff")
    return bytes([_SYNC, high, low, flags | _HAS_ADAPTATION]) + field + payload


def _payload(data: bytearray, at: int) -> int:
    """Returns where the payload of the packet at a position begins: at its end if it has none."""
    flags = data[at + 3]
    if not flags & _HAS_PAYLOAD:
        return at + _PACKET
    return at + _HEADER + (1 + data[at + _HEADER] if flags & _HAS_ADAPTATION else 0)


def _is_table(data: bytearray, at: int) -> bool:
    return (data[at + 1] & _PID_HIGH) << 8 | data[at + 2] in _TABLES


def _counted(flags: int, more: int) -> int:
    return flags & ~_COUNTER | (flags + more) % _VALUES


def _unreadable(why: str) -> ProcessingFailedError:
    return ProcessingFailedError(Code.INTERNAL, f"segments.readable: {why}")
