"""Packets split in runs give the same result as packets split singly."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gostream_conformance.formats.mpegts import PACKET, Splitter

NULL = 0x1FFF


@dataclass(frozen=True)
class Packet:
    """One packet. `step` is added to the previous continuity counter of its PID."""

    pid: int
    begins: bool
    adaptation: int | None  # length of the field
    has_payload: bool
    step: int


ORDINARY = st.builds(
    Packet,
    pid=st.just(0x100),
    begins=st.just(False),
    adaptation=st.none(),
    has_payload=st.just(True),
    step=st.just(1),
)
ANY = st.builds(
    Packet,
    pid=st.sampled_from([0x100, 0x101, NULL]),
    begins=st.booleans(),
    adaptation=st.none() | st.integers(0, 183),
    has_payload=st.booleans(),
    step=st.sampled_from([0, 1, 1, 1, 2]),
)
PACKETS = st.lists(st.lists(ORDINARY, max_size=40) | st.lists(ANY, max_size=4), max_size=12)


def written(packets: list[Packet]) -> bytes:
    counters: dict[int, int] = {}
    found = bytearray()
    for number, packet in enumerate(packets):
        counter = counters[packet.pid] = (counters.get(packet.pid, 5) + packet.step) & 0x0F
        flags = (packet.adaptation is not None) << 5 | packet.has_payload << 4
        head = bytes([0x47, packet.begins << 6 | packet.pid >> 8, packet.pid & 0xFF, flags | counter])
        if packet.adaptation is not None:
            head += bytes([packet.adaptation]) + bytes(packet.adaptation)
        rest = PACKET - len(head)
        found += head + (number.to_bytes(2, "big") * 94)[:rest]
    return bytes(found)


def one_by_one(data: bytes) -> tuple[dict[int, list[tuple[int, int, bytes]]], list[tuple[int, int]]]:
    """Returns Returns (start, end, payload) of each unit by PID, and the jumps."""
    units: dict[int, list[tuple[int, int, bytes]]] = {}
    jumps: list[tuple[int, int]] = []
    last: dict[int, int] = {}
    latest: dict[int, bytes] = {}
    doubled: dict[int, bool] = {}
    for base in range(0, len(data), PACKET):
        packet = data[base : base + PACKET]
        pid, control = (packet[1] & 0x1F) << 8 | packet[2], packet[3]
        if pid == NULL or not control & 0x10:
            continue
        if pid in units and packet == latest[pid] and not doubled[pid]:
            doubled[pid] = True
            continue
        latest[pid], doubled[pid] = packet, False
        if pid in last and control & 0x0F != (last[pid] + 1) & 0x0F:
            jumps.append((pid, base))
        last[pid] = control & 0x0F
        payload = packet[5 + packet[4] :] if control & 0x20 else packet[4:]
        if packet[1] & 0x40:
            units.setdefault(pid, []).append((base, base + PACKET, payload))
        elif pid in units:
            start, _, before = units[pid][-1]
            units[pid][-1] = (start, base + PACKET, before + payload)
    return units, jumps


@given(PACKETS)
def test_packet_runs_match_single_packets(runs: list[list[Packet]]) -> None:
    data = written([packet for run in runs for packet in run])
    splitter = Splitter(data)
    splitter.split()

    units, jumps = one_by_one(data)
    found = {pid: stream.units for pid, stream in splitter.streams.items() if stream.units}
    assert {
        pid: [(unit.offset, unit.end, unit.payload()) for unit in kept] for pid, kept in found.items()
    } == units
    assert [(jump.pid, jump.offset) for jump in splitter.jumps] == jumps[:3]
    assert splitter.jump_count == len(jumps)
    for unit in (unit for kept in found.values() for unit in kept):
        assert unit.size == len(unit.payload())
        for size in (1, 19, 100, 1000):
            head = unit.head(size)
            assert unit.payload().startswith(head)
            assert len(head) >= min(size, unit.size)
