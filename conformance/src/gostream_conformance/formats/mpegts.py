"""Demultiplexes MPEG transport streams into PES packets with timestamps (ISO/IEC 13818-1) in one linear pass.

Runs of ordinary packets are processed together, and payloads are joined only on demand.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar
from zlib import crc32

from gostream_conformance.errors import PacketSizeError, TransportError

Table = TypeVar("Table")

PACKET = 188
CLOCK = 90_000  # ticks of PTS and DTS per second
H264, AAC = 0x1B, 0x0F
#: Stream types that players ignore: private sections and data, timed metadata, advertisement markers.
DATA = frozenset({0x05, 0x06, 0x15, 0x16, 0x86})
_WRAP = 1 << 33
_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft"})  # first boxes of MP4
_PAT_PID, _NULL_PID = 0, 0x1FFF
_PES_HEAD = 9 + 5 + 5  # bytes, up to the timestamps
_TIMESTAMPS = (0, -1, 5, 10)  # bytes of timestamps by PTS_DTS_flags
_SHORT_RUN = 4
_MAX_STREAMS = 32
_JUMPS_KEPT = 3
#: Mark the packets with more than 184 bytes of continued payload, by their second and fourth bytes.
_BEGINS = bytes(int(high & 0xC0 != 0) for high in range(256))
_IS_ODD = bytes(int(control & 0xF0 != 0x10) for control in range(256))
_COUNTERS = bytes(0x10 | counter & 0x0F for counter in range(32))
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(slots=True)
class Unit:
    """The payload of one PID from one unit start to the next: a PES packet or a table section.

    An extent starts at the first byte of a payload and ends with its packet, or with a later packet if all
    packets in between belong to the PID and have only a four-byte header.
    """

    data: bytes
    offset: int  # of the first transport packet
    extents: list[tuple[int, int]]

    @property
    def end(self) -> int:
        """The end of the last transport packet."""
        return self.extents[-1][1]

    @property
    def size(self) -> int:
        """The size of the payload."""
        size = 0
        for start, stop in self.extents:
            size += stop - start - 4 * ((stop - start) // PACKET)
        return size

    def payload(self) -> bytes:
        return b"".join(self._pieces())

    def head(self, size: int) -> bytes:
        """Returns at least the first `size` bytes of the payload, fewer if it is shorter."""
        start, stop = self.extents[0]
        if size <= stop - start < PACKET:
            return self.data[start:stop]
        found = b""
        for piece in self._pieces():
            found += piece
            if len(found) >= size:
                break
        return found

    def _pieces(self) -> Iterator[bytes]:
        for start, stop in self.extents:
            first = stop - (stop - start) // PACKET * PACKET
            yield self.data[start:first]
            for base in range(first, stop, PACKET):
                yield self.data[base + 4 : base + PACKET]


@dataclass(slots=True)
class Pes:
    """One PES packet, and the byte range of its transport packets."""

    pts: int  # -1 without a timestamp
    dts: int
    unit: Unit
    begin: int  # of its payload within the unit's payload
    stop: int

    @property
    def offset(self) -> int:
        return self.unit.offset

    @property
    def end(self) -> int:
        return self.unit.end

    @property
    def payload(self) -> bytes:
        return self.unit.payload()[self.begin : self.stop]

    def head(self, size: int) -> bytes:
        """Returns at least the first `size` bytes of the payload, all bytes if it is shorter."""
        return self.unit.head(self.begin + size)[self.begin : self.stop]


@dataclass(frozen=True, slots=True)
class Jump:
    """A continuity counter that does not follow the previous one: packets are lost or reordered."""

    pid: int
    offset: int


@dataclass(slots=True)
class Stream:
    """The packets of one PID."""

    pid: int
    kind: int = 0  # stream_type of the PMT
    begin: int = -1  # of the first packet with payload, which may not start a unit
    first_counter: int = -1
    last_counter: int = -1
    repeated: int = -1  # the offset of the latest duplicated packet
    units: list[Unit] = field(default_factory=list)

    def packets(self) -> Iterator[Pes]:
        """Yield the PES packets in stream order."""
        return map(_pes, self.units)

    def append(self, start: int, stop: int) -> None:
        """Append payload to the latest unit. Ignores payload before the first unit."""
        if not self.units:
            return
        extents = self.units[-1].extents
        if extents[-1][1] == start - 4:
            extents[-1] = (extents[-1][0], stop)
        else:
            extents.append((start, stop))


@dataclass(frozen=True, slots=True)
class Transport:
    """A demultiplexed segment."""

    listed: tuple[tuple[int, int], ...]  # (PID, stream_type) in the PMT
    streams: tuple[Stream, ...]  # the listed streams with packets
    counters: dict[int, tuple[int, int]]  # first and last continuity counter by PID of streams and tables
    tables_end: int  # end of the first PAT and PMT
    first_payload: int  # start of the first packet with payload of a listed stream
    jumps: tuple[Jump, ...]  # the first few jumps
    jump_count: int

    def of_kind(self, kind: int) -> Stream | None:
        """Returns the first stream of that type with a unit, or None."""
        return next((s for s in self.streams if s.kind == kind and s.units), None)


def ticks_between(earlier: int, later: int) -> int:
    """Returns `later` − `earlier` on the 33-bit clock, negative if `later` is before `earlier`."""
    return (later - earlier + _WRAP // 2) % _WRAP - _WRAP // 2


def demux(data: bytes, *, seam: int = 0) -> Transport:
    """Demultiplex transport packets. Continuity counters may restart at the byte `seam`.

    Raises PacketSizeError or TransportError.
    """
    if data[4:8] in _BOXES:
        raise TransportError("unsupported: fragmented MP4")
    count, rest = divmod(len(data), PACKET)
    if rest or not count:
        raise PacketSizeError(f"{len(data)} bytes are not a multiple of {PACKET}", offset=count * PACKET)
    syncs = data[::PACKET]
    if syncs.count(0x47) != count:
        bad = next(i for i, byte in enumerate(syncs) if byte != 0x47)
        raise TransportError("a packet without its sync byte", offset=bad * PACKET)
    splitter = Splitter(data)
    splitter.split(seam // PACKET)
    streams = splitter.streams
    program = _single_program(streams.get(_PAT_PID))
    listed = _program_map(streams.get(program), program)
    tables_end = streams[program].units[0].end
    found = []
    for pid, kind in listed:
        if stream := streams.get(pid):
            stream.kind = kind
            found.append(stream)
    starts = [stream.begin for stream in found if stream.begin >= 0]
    checked = {_PAT_PID, program, *(stream.pid for stream in found)}
    counters = {
        pid: (s.first_counter, s.last_counter) for pid in checked if (s := streams[pid]).first_counter >= 0
    }
    first = min(starts, default=len(data))
    return Transport(
        tuple(listed), tuple(found), counters, tables_end, first, tuple(splitter.jumps), splitter.jump_count
    )


class Splitter:
    """Splits complete packets into `streams` by PID, and records the first jumps of their counters."""

    def __init__(self, data: bytes) -> None:
        self.streams: dict[int, Stream] = {}
        self.jumps: list[Jump] = []
        self.jump_count = 0
        self._data = data
        self._highs, self._lows, self._controls = (data[byte::PACKET] for byte in (1, 2, 3))

    def split(self, seam: int = 0) -> None:
        """Split the packets. Processes most packets in runs, because a megabyte has 5,300 of them.

        Continuity counters restart at the packet `seam`. Raises TransportError.
        """
        begins, odd = self._highs.translate(_BEGINS), self._controls.translate(_IS_ODD)
        count = len(begins)
        special = (int.from_bytes(begins, "big") | int.from_bytes(odd, "big")).to_bytes(count, "big")
        for at, stop in ((0, seam), (seam, count)):
            for stream in self.streams.values():
                stream.first_counter = stream.last_counter = -1
            while at < stop:
                until = special.find(1, at, stop)
                until = stop if until < 0 else until
                if until - at < _SHORT_RUN or not self._take_run(at, until):
                    for packet in range(at, until):
                        self._take(packet)
                if until < stop:
                    self._take(until)
                at = until + 1

    def _take_run(self, at: int, until: int) -> bool:
        """Take packets without adaptation fields. Returns False unless they are one unbroken run of a PID."""
        high, low, length = self._highs[at : at + 1], self._lows[at : at + 1], until - at
        stream = self.streams.get((high[0] & 0x1F) << 8 | low[0])
        if stream is None or stream.last_counter < 0:
            return False
        following = (stream.last_counter + 1) & 0x0F
        expected = _COUNTERS[following : following + 16] * (length // 16 + 1)
        if (
            self._highs[at:until] != high * length
            or self._lows[at:until] != low * length
            or self._controls[at:until] != expected[:length]
        ):
            return False
        stream.last_counter = (following + length - 1) & 0x0F
        stream.append(at * PACKET + 4, until * PACKET)
        return True

    def _take(self, packet: int) -> None:
        high, control, base = self._highs[packet], self._controls[packet], packet * PACKET
        pid = (high & 0x1F) << 8 | self._lows[packet]
        if pid == _NULL_PID:
            return
        if high & 0x80 or control & 0xC0:
            raise TransportError("a packet marked as damaged or scrambled", offset=base)
        stream = self.streams.get(pid)
        if stream is None:
            stream = self.streams[pid] = Stream(pid)
        start, jumped = self._skip_adaptation(base) if control & 0x20 else (base + 4, False)
        if not control & 0x10:
            return
        counter = control & 0x0F
        if stream.last_counter < 0:
            stream.first_counter = counter
            stream.begin = base if stream.begin < 0 else stream.begin
        elif counter != (stream.last_counter + 1) & 0x0F and not jumped:
            if self._repeats(stream, base):
                return
            self.jump_count += 1
            if self.jump_count <= _JUMPS_KEPT:
                self.jumps.append(Jump(pid, base))
        stream.last_counter = counter
        if high & 0x40:
            stream.units.append(Unit(self._data, base, [(start, base + PACKET)]))
        else:
            stream.append(start, base + PACKET)

    def _repeats(self, stream: Stream, base: int) -> bool:
        """Returns True if the packet repeats the previous one of the PID, which is allowed once."""
        before = stream.units[-1].end - PACKET if stream.units else base
        if before in {base, stream.repeated}:
            return False
        if self._data[before : before + PACKET] != self._data[base : base + PACKET]:
            return False
        stream.repeated = before
        return True

    def _skip_adaptation(self, base: int) -> tuple[int, bool]:
        """Returns the start of the payload, and the discontinuity_indicator."""
        length = self._data[base + 4]
        if length > 183:
            raise TransportError("an adaptation field longer than its packet", offset=base)
        return base + 5 + length, length > 0 and self._data[base + 5] & 0x80 != 0


def _single_program(stream: Stream | None) -> int:
    """Returns the PID of the only program's PMT."""
    if stream is None or not stream.units:
        raise TransportError("no program association table")
    return _agreed(stream, _program)


def _program(unit: Unit) -> int:
    section = _section(unit, table=0x00)
    entries = [section[i : i + 4] for i in range(8, len(section) - 4, 4)]
    programs = [(e[2] & 0x1F) << 8 | e[3] for e in entries if len(e) == 4 and (e[0] or e[1])]
    if len(programs) != 1:
        raise TransportError(f"{len(programs)} programs instead of one", offset=unit.offset)
    return programs[0]


def _program_map(stream: Stream | None, pid: int) -> list[tuple[int, int]]:
    """Returns (PID, stream_type) of each elementary stream."""
    if stream is None or not stream.units:
        raise TransportError(f"no program map table on PID {pid}")
    return _agreed(stream, _listed)


def _listed(unit: Unit) -> list[tuple[int, int]]:
    section = _section(unit, table=0x02)
    end = len(section) - 4
    position = 12 + ((section[10] & 0x0F) << 8 | section[11]) if end > 11 else end + 1
    listed = []
    while position + 5 <= end:
        kind, high, low, info_high, info_low = section[position : position + 5]
        listed.append(((high & 0x1F) << 8 | low, kind))
        position += 5 + ((info_high & 0x0F) << 8 | info_low)
    if len(listed) > _MAX_STREAMS:
        raise TransportError(f"more than {_MAX_STREAMS} streams", offset=unit.offset)
    if position != end:
        raise TransportError("a program map table with inconsistent lengths", offset=unit.offset)
    return listed


def _agreed(stream: Stream, read: Callable[[Unit], Table]) -> Table:
    """Returns the first table of a PID. Raises TransportError if a later table differs."""
    first = stream.units[0]
    table, known = read(first), first.payload()
    for unit in stream.units[1:]:
        if unit.head(len(known)) != known and read(unit) != table:
            raise TransportError("a table that contradicts the first", offset=unit.offset)
    return table


def _section(unit: Unit, *, table: int) -> bytes:
    """Returns the first section of a unit after checking its CRC."""
    offset, data = unit.offset, unit.payload()
    start = 1 + data[0] if data else 0
    header = data[start : start + 3]
    if len(header) < 3 or header[0] != table:
        raise TransportError(f"table {table} is missing", offset=offset)
    length = (header[1] & 0x0F) << 8 | header[2]
    section = data[start : start + 3 + length]
    if length < 9 or len(section) < 3 + length or not _is_intact(section):
        raise TransportError(f"table {table} is truncated or damaged", offset=offset)
    return section


def _is_intact(section: bytes) -> bool:
    """Check the CRC-32/MPEG-2 at the end of a section. zlib's CRC-32 needs the bits of each byte reversed."""
    return crc32(section.translate(_MIRRORED)) == 0xFFFFFFFF


def _pes(unit: Unit) -> Pes:
    offset, size, data = unit.offset, unit.size, unit.head(_PES_HEAD)
    if len(data) < 9 or data[:3] != b"\x00\x00\x01":
        raise TransportError("a PES packet without its start code", offset=offset)
    flags, header = data[7] >> 6, data[8]
    needed = _TIMESTAMPS[flags]
    if data[6] & 0xC0 != 0x80 or needed < 0 or header < needed or size < 9 + header:
        raise TransportError("a PES packet with an invalid header", offset=offset)
    pts = _timestamp(data, 9, flags, offset) if needed else -1
    dts = _timestamp(data, 14, 1, offset) if flags == 3 else pts
    length = data[4] << 8 | data[5]
    stop = 6 + length if length else size
    if stop > size or stop < 9 + header:
        raise TransportError("a truncated PES packet", offset=offset)
    return Pes(pts, dts, unit, 9 + header, stop)


def _timestamp(data: bytes, at: int, prefix: int, offset: int) -> int:
    a, b, c, d, e = data[at : at + 5]
    if a >> 4 != prefix or not a & c & e & 1:
        raise TransportError("a timestamp with wrong marker bits", offset=offset)
    return (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1
