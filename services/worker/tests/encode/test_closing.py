"""Continuity counters across the segments of chunks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_conformance.formats.mpegts import PACKET
from gostream_worker.encode.closing import CounterClosing
from gostream_worker.failures import Code, ProcessingFailedError

_TRACK = 0x100
_TABLES = (0x0000, 0x0011, 0x1000)


def packet(pid: int, payload: bytes, *, counter: int = 0, begins: bool = False, flags: bytes = b"") -> bytes:
    """A packet with that payload. `flags`: the content of its adaptation field before the stuffing."""
    size = PACKET - 4 - len(payload)
    field = (bytes([size - 1]) + (flags or b"\0" if size > 1 else b"")).ljust(size, b"\xff") if size else b""
    control = (0x20 if size else 0) | (0x10 if payload else 0) | counter
    return bytes([0x47, begins << 6 | pid >> 8, pid & 0xFF, control]) + field + payload


def tables() -> bytes:
    return b"".join(packet(pid, bytes(184)) for pid in _TABLES)


def packets(segment: bytes, pid: int) -> list[bytes]:
    every = [segment[at : at + PACKET] for at in range(0, len(segment), PACKET)]
    return [found for found in every if (found[1] & 0x1F) << 8 | found[2] == pid]


def counters(segment: bytes, pid: int) -> list[int]:
    return [found[3] & 0x0F for found in packets(segment, pid)]


def payload(segments: list[bytes], pid: int = _TRACK) -> bytes:
    parts = []
    for found in packets(b"".join(segments), pid):
        begins = 4 + (1 + found[4] if found[3] & 0x20 else 0)
        parts.append(found[begins:] if found[3] & 0x10 else b"")
    return b"".join(parts)


def clocks(segments: list[bytes]) -> list[bytes]:
    """The clock references, which adaptation fields carry."""
    fields = [found[4:12] for found in packets(b"".join(segments), _TRACK) if found[3] & 0x20]
    return [field[2:] for field in fields if field[0] and field[1] & 0x10]


def close(segments: list[bytes], first: int = 0) -> list[bytes]:
    closing = CounterClosing(first)
    last = len(segments) - 1
    return [closing.close(segment, is_last=number == last) for number, segment in enumerate(segments)]


@st.composite
def chunks(draw: st.DrawFn) -> list[bytes]:
    """Segments that begin with tables and a key frame of several packets."""
    segments = []
    sizes = st.lists(st.integers(min_value=0, max_value=184), max_size=40)
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        parts = [tables(), packet(_TRACK, bytes(176), begins=True, flags=b"\x50" + bytes(6))]
        for number, size in enumerate(draw(sizes)):
            flags = b"\x10" + bytes(6) if size <= 176 and size % 3 == 0 else b""
            parts.append(packet(_TRACK, bytes([number % 256]) * size, begins=size % 5 == 0, flags=flags))
            parts.append(tables() if size % 7 == 0 else b"")
        segments.append(b"".join(parts))
    return segments


@given(chunks(), st.integers(min_value=0, max_value=40))
def test_counters_continue_into_the_next_chunk(segments: list[bytes], first: int) -> None:
    made = [*close(segments, first), *close(segments, first + len(segments))]

    expected = -1
    for found in packets(b"".join(made), _TRACK):
        expected += bool(found[3] & 0x10)
        assert found[3] & 0x0F == expected % 16
    for pid in _TABLES:
        numbers = [(first + number) % 16 for number in range(len(made))]
        assert [counters(segment, pid) for segment in made] == [[number] for number in numbers]


@given(chunks())
def test_closing_keeps_every_byte_of_the_picture(segments: list[bytes]) -> None:
    made = close(segments)

    assert payload(made) == payload(segments)
    assert clocks(made) == clocks(segments)


def test_unit_starts_stay_with_their_first_byte() -> None:
    small = tables() + packet(_TRACK, bytes(range(100)), begins=True)

    [made] = close([small])

    assert [found[1] >> 6 & 1 for found in packets(made, _TRACK)] == [1] + [0] * 15
    assert len(payload([packets(made, _TRACK)[0]])) == 85


@pytest.mark.parametrize(
    "segment",
    [
        tables()[:-1],
        b"\x00" * PACKET,
        tables() + packet(0x100, bytes(184)) + packet(0x101, bytes(184)),
        tables() + packet(_TRACK, bytes(10)),
    ],
)
def test_other_than_one_picture_is_refused(segment: bytes) -> None:
    with pytest.raises(ProcessingFailedError) as error:
        close([segment])

    assert error.value.code is Code.INTERNAL


@given(st.binary(max_size=2000))
def test_any_bytes_are_closed_or_refused(data: bytes) -> None:
    with suppress(ProcessingFailedError):
        close([data])
