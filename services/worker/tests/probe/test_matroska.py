"""Crop borders, Dolby Vision and the index in the head of a Matroska file."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe import matroska
from gostream_worker.probe.matroska import Picture, has_index, picture_at
from gostream_worker.probe.mp4.crop import trimmed

SEGMENT, CLUSTER, TRACKS, TRACK, TYPE, VIDEO = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0x83, 0xE0
LEFT, TOP, RIGHT, BOTTOM = 0x54CC, 0x54BB, 0x54DD, 0x54AA
CUES, SEEK_HEAD, SEEK, SEEK_ID = 0x1C53BB6B, 0x114D9B74, 0x4DBB, 0x53AB
MAPPING, ID_TYPE, EXTRA = 0x41E4, 0x41E7, 0x41ED
UNKNOWN = b"\x01" + b"\xff" * 7


def element(name: int, content: bytes, *, width: int = 4) -> bytes:
    """An element with a size field of `width` bytes."""
    size = (len(content) | 1 << 7 * width).to_bytes(width, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content


def number(name: int, value: int) -> bytes:
    return element(name, value.to_bytes(2, "big"), width=1)


def seek(place: int) -> bytes:
    return element(SEEK, element(SEEK_ID, place.to_bytes(4, "big")))


def track(borders: tuple[int, int, int, int], dolby: bytes = b"", *, kind: int = 1) -> bytes:
    crops = [number(name, value) for name, value in zip((LEFT, TOP, RIGHT, BOTTOM), borders, strict=True)]
    mapping = element(MAPPING, element(ID_TYPE, b"dvcC") + element(EXTRA, dolby)) if dolby else b""
    return element(TRACK, number(TYPE, kind) + element(VIDEO, b"".join(crops)) + mapping)


def head(*tracks: bytes, more: bytes = b"") -> bytes:
    return element(0x1A45DFA3, b"") + element(SEGMENT, element(TRACKS, b"".join(tracks)) + more, width=8)


BORDERS = st.tuples(*[st.integers(0, 0xFFFF)] * 4)
WHOLE = head(track((1, 2, 3, 4), b"configuration"))


@given(st.lists(st.tuples(BORDERS, st.binary(max_size=30)), max_size=4), st.integers(1, 8))
def test_written_values_are_read_back(
    pictures: list[tuple[tuple[int, int, int, int], bytes]], width: int
) -> None:
    tracks = [track(borders, dolby) for borders, dolby in pictures]
    sound = track((9, 9, 9, 9), kind=2)
    data = head(sound, *tracks)

    for place, (borders, dolby) in enumerate(pictures):
        assert picture_at(data, place) == Picture(borders, dolby)
    assert picture_at(data, len(pictures)) == picture_at(data, -1) == Picture()
    assert picture_at(element(0xEC, bytes(9), width=width) + data, 0) == picture_at(data, 0)


def test_segment_of_unknown_size_is_read() -> None:
    content = element(TRACKS, track((1, 2, 3, 4)))

    assert picture_at(SEGMENT.to_bytes(4, "big") + UNKNOWN + content, 0).borders == (1, 2, 3, 4)


def test_tracks_after_a_cluster_are_not_read() -> None:
    late = element(CLUSTER, b"") + element(TRACKS, track((1, 2, 3, 4)))

    assert picture_at(element(SEGMENT, late), 0) == Picture()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([element(SEEK_HEAD, seek(TRACKS) + seek(CUES)), element(CLUSTER, b"")], True),
        ([element(CUES, b""), element(CLUSTER, b"")], True),
        ([element(SEEK_HEAD, seek(TRACKS)), element(CLUSTER, b"")], False),
        ([element(CLUSTER, b""), element(CUES, b"")], False),
        ([], False),
    ],
)
def test_index_is_found_from_the_head(parts: list[bytes], expected: bool) -> None:
    assert has_index(element(SEGMENT, b"".join(parts))) == expected


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_truncated_head_gives_partial_values(cut: int) -> None:
    found = picture_at(WHOLE[:cut], 0)

    assert all(value in {0, whole} for value, whole in zip(found.borders, (1, 2, 3, 4), strict=True))
    assert b"configuration".startswith(found.dolby_vision)


@given(st.binary(max_size=300), st.integers(0, len(WHOLE)), st.integers(-1, 3))
def test_arbitrary_bytes_raise_no_error(noise: bytes, cut: int, place: int) -> None:
    for data in (
        noise,
        WHOLE[:cut] + noise,
        head(noise),
        head(element(TRACK, noise)),
        head(track((0,) * 4), noise),
    ):
        has_index(data)
        found = picture_at(data, place)
        assert all(0 <= border < 1 << 64 for border in found.borders)
        width, height = trimmed(found.borders, (640, 360))
        assert 0 < width <= 640
        assert 0 < height <= 360


@pytest.mark.parametrize(
    "data",
    [
        head(element(TRACK, b"\x83\x81\x01") * 40_000),
        head(*[element(TRACK, element(VIDEO, number(LEFT, 1) * 30_000))]),
        b"\xec\x80" * 130_000,
        struct.pack(">I", SEGMENT) + UNKNOWN + (struct.pack(">I", TRACKS) + UNKNOWN) * 20_000,
    ],
    ids=["many tracks", "many borders", "many voids", "each in the one before"],
)
def test_parsing_a_hostile_head_takes_linear_time(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counted(first: int) -> int:
        nonlocal calls
        calls += 1
        return width_of(first)

    width_of = matroska._width
    monkeypatch.setattr(matroska, "_width", counted)

    picture_at(data, 0)
    has_index(data)

    assert 0 < calls < 8 * len(data)
