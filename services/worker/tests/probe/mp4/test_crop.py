"""The crop of a picture by the file's index."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.mp4.crop import cropped
from services.worker.tests.probe.timing.test_last_fragment import box

SIZE = (640, 360)


def index(*aperture: int, track: int = 1, version: int = 0) -> bytes:
    """The content of a `moov` with one track of this clean aperture."""
    header = bytes((version, 0, 0, 0)) + bytes(16 if version else 8) + track.to_bytes(4, "big")
    clap = box(b"clap", struct.pack(">IIIIiIiI", *aperture)) if aperture else b""
    content = bytes(8) + box(b"avc1", bytes(78) + box(b"avcC", b"x") + clap)
    for name in (b"stsd", b"stbl", b"minf", b"mdia"):
        content = box(name, content)
    return box(b"mvhd", bytes(100)) + box(b"trak", box(b"tkhd", header) + content)


@pytest.mark.parametrize("version", [0, 1])
def test_clean_aperture_sets_the_crop(version: int) -> None:
    found = index(360, 1, 360, 1, 0, 1, 0, 1, version=version)

    assert cropped(found, 1, SIZE) == (360, 360)
    assert cropped(found, 2, SIZE) == SIZE


@pytest.mark.parametrize(
    "aperture",
    [
        (),
        (640, 1, 360, 1, 0, 1, 0, 1),
        (641, 1, 361, 1, 0, 1, 0, 1),
        (320, 0, 180, 1, 0, 1, 0, 1),
        (600, 1, 340, 1, 100, 1, -50, 1),
    ],
    ids=["none", "all", "more", "nonsense", "beside it"],
)
def test_invalid_aperture_does_not_crop(aperture: tuple[int, ...]) -> None:
    assert cropped(index(*aperture), 1, SIZE) == SIZE


def test_aperture_may_have_any_offset() -> None:
    assert cropped(index(320, 1, 180, 1, -160, 1, 90, 1), 1, SIZE) == (320, 180)


@given(st.binary(max_size=200), st.integers(0, 250))
def test_arbitrary_bytes_raise_no_error(noise: bytes, cut: int) -> None:
    whole = index(360, 1, 360, 1, 0, 1, 0, 1)
    for data in (noise, whole[:cut] + noise):
        width, height = cropped(data, 1, SIZE)
        assert 0 < width <= 640
        assert 0 < height <= 360
