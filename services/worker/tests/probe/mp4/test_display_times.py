"""When samples are shown, from the index of an MP4 file."""

import struct

import pytest

from gostream_worker.probe.mp4.display_times import display_lag


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def index(*offsets: int, version: int = 0, scale: int = 1000) -> bytes:
    """The index of a film whose only track, number 7, has these composition offsets."""
    times = bytes(16) if version else bytes(8)
    number = bytes([version]) + bytes(3) + times + struct.pack(">I", 7) + bytes(60)
    clock = bytes([version]) + bytes(3) + times + struct.pack(">I", scale) + bytes(8)
    entries = b"".join(struct.pack(">Ii", 1, offset) for offset in offsets)
    table = box(b"ctts", struct.pack(">II", 0, len(offsets)) + entries) if offsets else b""
    media = box(b"mdhd", clock) + box(b"minf", box(b"stbl", table))
    return box(b"trak", box(b"tkhd", number) + box(b"mdia", media))


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(("offsets", "lag"), [((), 0.0), ((80, 4740, 0), 4.74), ((-200, 100), 0.3)])
def test_lag_is_the_largest_composition_offset(version: int, offsets: tuple[int, ...], lag: float) -> None:
    assert display_lag(index(*offsets, version=version), 7) == lag


@pytest.mark.parametrize("found", [b"", index(5), index(5, scale=0)[:-1], b"\x00" * 100])
def test_lag_of_an_unknown_track_is_unknown(found: bytes) -> None:
    assert display_lag(found, 8) is None


def test_index_without_a_clock_has_no_lag() -> None:
    assert display_lag(index(5, scale=0), 7) is None
