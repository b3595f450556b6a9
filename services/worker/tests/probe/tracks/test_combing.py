"""Detection of unflagged interlaced pictures by their fields."""

import pytest
from av.video.frame import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from gostream_worker.probe.tracks import combing
from gostream_worker.probe.tracks.combing import find_combs

WIDTH, HEIGHT = 160, 144
FORMATS = ["yuv420p", "yuvj422p", "yuv411p", "yuv444p", "yuv422p10le", "yuv420p10le"]


DARK, LIGHT = 130, 180  # close together: the upper two bits are equal


def row(time: float) -> bytes:
    """Vertical bars that move sideways with time."""
    return bytes(LIGHT if int(x + 3 * time) // 10 % 2 else DARK for x in range(WIDTH))


def frame(times: tuple[float, float], name: str = "yuv420p") -> VideoFrame:
    """A picture with its upper field at the first time and its lower field at the second."""
    made = VideoFrame(WIDTH, HEIGHT, name)
    plane = made.planes[0]
    lines = []
    for number in range(HEIGHT):
        line = row(times[number % 2])
        if name.endswith("10le"):
            line = b"".join((value << 2).to_bytes(2, "little") for value in line)
        lines.append(line.ljust(plane.line_size, b"\0"))
    plane.update(b"".join(lines).ljust(plane.buffer_size, b"\0"))
    return made


def film(upper: float, lower: float, count: int = 12, name: str = "yuv420p") -> list[VideoFrame]:
    return [frame((number + upper, number + lower), name) for number in range(count)]


@pytest.mark.parametrize("name", FORMATS)
def test_interlaced_fields_are_found_with_their_order(name: str) -> None:
    assert find_combs(film(0, 0.5, name=name)) == "tff"
    assert find_combs(film(0.5, 0, name=name)) == "bff"


@pytest.mark.parametrize("name", FORMATS)
def test_progressive_pictures_have_no_combs(name: str) -> None:
    assert find_combs(film(0, 0, name=name)) is None


def test_still_pictures_give_no_result() -> None:
    assert find_combs([frame((0, 0.5))] * 12) is None


@pytest.mark.parametrize("count", range(6))
def test_few_pictures_give_no_result(count: int) -> None:
    assert find_combs(film(0, 0.5, count)) is None


def test_one_progressive_part_rules_out_interlacing() -> None:
    assert find_combs([*film(0, 0, 6), *film(0, 0.5, 6)]) is None


@pytest.mark.parametrize("name", ["rgb24", "gray", "nv12", "yuv420p12le", "pal8"])
def test_formats_without_a_luma_plane_give_no_result(name: str) -> None:
    assert find_combs([VideoFrame(WIDTH, HEIGHT, name) for _ in range(12)]) is None


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.integers(1, 300), st.sampled_from(FORMATS), st.integers(0, 255)),
        max_size=12,
    )
)
def test_arbitrary_pictures_raise_no_error(shapes: list[tuple[int, int, str, int]]) -> None:
    frames = []
    for width, height, name, value in shapes:
        made = VideoFrame(width, height, name)
        for plane in made.planes:
            plane.update(bytes([value]) * plane.buffer_size)
        frames.append(made)

    assert find_combs(frames) in {None, "tff", "bff"}


@pytest.mark.parametrize("size", [(160, 144), (1920, 1080), (40, 4320)])
def test_sampled_rows_do_not_grow_with_the_picture(size: tuple[int, int]) -> None:
    rows = combing._rows(VideoFrame(*size, "yuv420p"))

    assert 16 <= len(rows) <= 40
    assert all(len(line) <= 80 for triple in rows for line in triple)
