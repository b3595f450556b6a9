"""Limits of picture size and rate follow the cost of an encode."""

from dataclasses import replace
from fractions import Fraction

import pytest

from gostream_worker.encode.encoder import Patience
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.limits import SourceLimits, admit, largest_picture
from gostream_worker.probe.model import Probe, VideoTrack

_LIMITS = SourceLimits(max_bytes=1 << 30, max_duration=3600)
_SMALL = replace(_LIMITS, max_pixels=largest_picture(1 << 30))


def _film(width: int, height: int, fps: float) -> Probe:
    video = VideoTrack(
        index=0, codec="hevc", width=width, height=height, pixel_format="yuv420p", average_fps=Fraction(fps)
    )
    return Probe(container="mov", duration=10, size_bytes=1, video=video)


_TAKEN = [
    (5312, 4648, 30),
    (5312, 3984, 60),
    (5312, 2988, 60),
    (7680, 4320, 60),
    (8192, 4320, 30),
    (4096, 2160, 120),
    (2160, 3840, 60),
    (1920, 1080, 960),
]
_REFUSED = [
    (8192, 8192, 1, Code.DIMENSIONS),
    (8192, 4322, 1, Code.DIMENSIONS),
    (15, 4320, 1, Code.DIMENSIONS),
    (7680, 4320, 61, Code.FRAME_RATE),
    (3840, 2160, 480, Code.FRAME_RATE),
    (64, 64, 961, Code.FRAME_RATE),
]


@pytest.mark.parametrize(("width", "height", "fps"), _TAKEN)
def test_camera_formats_are_accepted(width: int, height: int, fps: float) -> None:
    admit(_film(width, height, fps), _LIMITS)


@pytest.mark.parametrize(("width", "height", "fps", "code"), _REFUSED)
def test_too_expensive_pictures_are_refused(width: int, height: int, fps: float, code: Code) -> None:
    with pytest.raises(ProcessingFailedError) as error:
        admit(_film(width, height, fps), _LIMITS)

    assert error.value.code is code


def test_small_encoder_memory_refuses_8k() -> None:
    admit(_film(4096, 2160, 60), _SMALL)
    with pytest.raises(ProcessingFailedError) as error:
        admit(_film(7680, 4320, 24), _SMALL)

    assert error.value.code is Code.DIMENSIONS
    assert largest_picture(8 << 30) == 8192 * 4320


def test_larger_pictures_get_more_time() -> None:
    patience = Patience()

    assert patience.wall(10) == patience.wall(10, 1920 * 1080 * 30)
    assert patience.wall(10, 7680 * 4320 * 60) == pytest.approx(60 + 10 * 199, abs=1)
