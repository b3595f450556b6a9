"""Admission limits for sources: pure checks of the probe."""

import math
from dataclasses import dataclass

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.model import Probe, VideoTrack, display_size
from gostream_worker.sandbox.allowlist import MAX_PIXELS

MIN_SIDE = 16
MAX_FPS = 960
#: x264 encodes no longer side.
MAX_SIDE = 16_384
#: 4096 × 2160: every encoder that can run has the memory for it.
_USUAL_PIXELS = 8_847_360
#: Address space of the encoder per pixel of larger pictures: 79 bytes at 10 bits with two processors, more
#: with the threads of more processors.
_BYTES_PER_PIXEL = 128


def largest_picture(memory: int) -> int:
    """Returns the pixels of the largest picture that an encoder with that address space can encode."""
    return max(_USUAL_PIXELS, min(MAX_PIXELS, memory // _BYTES_PER_PIXEL))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """Limits of this deployment: bytes, seconds, pixels per picture and pixels per second."""

    max_bytes: int
    max_duration: float
    max_pixels: int = MAX_PIXELS
    max_pixel_rate: int = 2_000_000_000


def admit_size(size_bytes: int, limits: SourceLimits) -> None:
    """Raises ProcessingFailedError for an empty or too large object, before it is fetched."""
    if size_bytes == 0:
        raise ProcessingFailedError(Code.SOURCE_EMPTY)
    if size_bytes > limits.max_bytes:
        raise ProcessingFailedError(Code.TOO_LARGE, f"{size_bytes} bytes")


def admit(probe: Probe, limits: SourceLimits) -> None:
    """Raises ProcessingFailedError for a decodable source outside the limits."""
    if not math.isfinite(probe.duration) or not 0 < probe.duration <= limits.max_duration:
        raise ProcessingFailedError(Code.DURATION, f"{probe.duration} s")
    if probe.video is not None:
        _admit_picture(probe.video, limits)


def _admit_picture(video: VideoTrack, limits: SourceLimits) -> None:
    width, height = display_size(video)
    if min(width, height, video.width, video.height) < MIN_SIDE:
        raise ProcessingFailedError(Code.DIMENSIONS, f"{video.width}x{video.height}")
    if max(width, height, video.width, video.height) > MAX_SIDE:
        raise ProcessingFailedError(Code.DIMENSIONS, f"{width}x{height}")
    if max(width * height, video.width * video.height) > limits.max_pixels:
        raise ProcessingFailedError(Code.DIMENSIONS, f"{width}x{height}")
    if video.average_fps > MAX_FPS:
        raise ProcessingFailedError(Code.FRAME_RATE, f"{float(video.average_fps):.0f} frames a second")
    if video.pixel_rate > limits.max_pixel_rate:
        raise ProcessingFailedError(Code.FRAME_RATE, f"{video.pixel_rate / 1e6:.0f} million pixels a second")
