"""Changes transport streams packet by packet, for cases that no encoder produces."""

from collections.abc import Callable
from zlib import crc32

from gostream_conformance.formats.aac import adts_frames
from gostream_conformance.formats.mpegts import AAC, PACKET, demux

Bytes = bytes | bytearray
PMT_PID, VIDEO_PID, SOUND_PID, MUXED_SOUND_PID = 0x1000, 0x100, 0x100, 0x101


def packets(data: Bytes) -> list[bytearray]:
    return [bytearray(data[at : at + PACKET]) for at in range(0, len(data), PACKET)]


def pid_of(packet: Bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def begins(packet: Bytes) -> bool:
    return packet[1] & 0x40 != 0


def moved(data: Bytes, pid: int, later: Callable[[int], int]) -> bytes:
    """Delays every PES packet of the PID by `later(number)` ticks."""
    found = packets(data)
    for number, packet in enumerate(p for p in found if pid_of(p) == pid and begins(p)):
        start = 5 + packet[4] if packet[3] & 0x20 else 4
        assert packet[start : start + 3] == b"\x00\x00\x01"
        for at in (start + 9, start + 14)[: (packet[start + 7] >> 6) - 1]:
            a, b, c, d, e = packet[at : at + 5]
            ticks = (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1
            packet[at : at + 5] = timestamp(a >> 4, ticks + later(number))
    return b"".join(found)


def timestamp(prefix: int, ticks: int) -> bytes:
    high, middle, low = ticks >> 30 & 7, ticks >> 15 & 0x7FFF, ticks & 0x7FFF
    return bytes([prefix << 4 | high << 1 | 1]) + (middle << 1 | 1).to_bytes(2) + (low << 1 | 1).to_bytes(2)


def sound_in_pieces(data: bytes, size: int) -> bytes:
    """Splits a sound segment into PES packets of `size` bytes and keeps the timing of its frames."""
    transport = demux(data)
    stream = transport.of_kind(AAC)
    assert stream is not None
    sound, frames, at = b"", [], 0
    for pes in stream.packets():
        for number, (config, length) in enumerate(adts_frames(pes.payload)):
            frames.append((at, pes.pts + round(number * config.frame_ticks)))
            at += length
        sound += pes.payload
    found, counter = bytearray(data[: transport.tables_end]), stream.first_counter
    for at in range(0, len(sound), size):
        part = sound[at : at + size]
        times = [pts for begin, pts in frames if at <= begin < at + size]
        whole = pes_packet(part, times[0] if times else None)
        for begin in range(0, len(whole), PACKET - 4):
            found += packet_of(stream.pid, whole[begin : begin + PACKET - 4], counter, begins=begin == 0)
            counter += 1
    return bytes(found)


def pes_packet(payload: bytes, pts: int | None) -> bytes:
    header = b"\x80\x00\x00" if pts is None else b"\x80\x80\x05" + timestamp(2, pts)
    return b"\x00\x00\x01\xc0" + (len(header) + len(payload)).to_bytes(2) + header + payload


def packet_of(pid: int, payload: bytes, counter: int = 0, *, begins: bool = True) -> bytes:
    room = PACKET - 4 - len(payload)
    filling = b"" if not room else bytes([room - 1]) + (b"\x00" + b"\xff" * room)[: room - 1]
    control = (0x30 if room else 0x10) | counter & 0x0F
    return bytes([0x47, begins << 6 | pid >> 8, pid & 0xFF, control]) + filling + payload


def remapped(data: Bytes, streams: dict[int, int]) -> bytes:
    """Sets the streams in every program map: PID → stream_type."""
    listed = b"".join(bytes([kind, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 0]) for pid, kind in streams.items())
    first = 0xE000 | next(iter(streams))
    body = b"\x00\x01\xc1\x00\x00" + first.to_bytes(2) + b"\xf0\x00" + listed
    section = with_crc(b"\x02" + (0xB000 | len(body) + 4).to_bytes(2) + body)
    found = packets(data)
    for packet in (p for p in found if pid_of(p) == PMT_PID):
        packet[4:] = (b"\x00" + section).ljust(PACKET - 4, b"\xff")
    return b"".join(found)


def with_crc(section: bytes) -> bytes:
    """A table section with its CRC-32/MPEG-2: zlib's CRC with the bits of each byte reversed."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in section)
    return section + int(f"{crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2).to_bytes(4)
