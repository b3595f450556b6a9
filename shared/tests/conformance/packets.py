"""Transport streams changed packet by packet, for what no encoder at hand writes."""

from collections.abc import Callable

from gostream_shared.conformance.aac import adts_frames
from gostream_shared.conformance.ts import AAC, PACKET, demux

Bytes = bytes | bytearray
SOUND_PID, MUXED_SOUND_PID = 0x100, 0x101


def packets(data: Bytes) -> list[bytearray]:
    return [bytearray(data[at : at + PACKET]) for at in range(0, len(data), PACKET)]


def pid_of(packet: Bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def begins(packet: Bytes) -> bool:
    return packet[1] & 0x40 != 0


def moved(data: Bytes, pid: int, later: Callable[[int], int]) -> bytes:
    """Every PES packet of the PID `later(number)` ticks later."""
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
    """A segment of sound in PES packets of `size` bytes, timed as its frames were."""
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
        header = b"\x80\x80\x05" + timestamp(2, times[0]) if times else b"\x80\x00\x00"
        pes_packet = b"\x00\x00\x01\xc0" + (len(header) + len(part)).to_bytes(2) + header + part
        for begin in range(0, len(pes_packet), PACKET - 4):
            payload = pes_packet[begin : begin + PACKET - 4]
            found += _packet(stream.pid, payload, counter, begins=begin == 0)
            counter += 1
    return bytes(found)


def _packet(pid: int, payload: bytes, counter: int, *, begins: bool) -> bytes:
    room = PACKET - 4 - len(payload)
    filling = b"" if not room else bytes([room - 1]) + (b"\x00" + b"\xff" * room)[: room - 1]
    control = (0x30 if room else 0x10) | counter & 0x0F
    return bytes([0x47, begins << 6 | pid >> 8, pid & 0xFF, control]) + filling + payload
