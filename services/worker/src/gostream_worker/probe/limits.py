"""Admission limits for sources: pure checks of the probe."""

import math
from dataclasses import dataclass

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.model import Probe, display_size
from gostream_worker.sandbox.allowlist import MAX_PIXELS

MIN_SIDE = 16
MAX_FPS = 960


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """Limits of this deployment, in bytes and seconds."""

    max_bytes: int
    max_duration: float


def admit_size(size_bytes: int, limits: SourceLimits) -> None:
    """Raises ProcessingFailedError for an empty or too large object, before it is fetched."""
    if size_bytes == 0:
        raise ProcessingFailedError(Code.SOURCE_EMPTY)
    if size_bytes > limits.max_bytes:
        raise ProcessingFailedError(Code.TOO_LARGE, f"{size_bytes} bytes")


def admit(probe: Probe, limits: SourceLimits) -> None:
    """Raises ProcessingFailedError for a decodable source outside the limits."""
    video = probe.video
    width, height = display_size(video)
    if min(width, height, video.width, video.height) < MIN_SIDE:
        raise ProcessingFailedError(Code.DIMENSIONS, f"{video.width}x{video.height}")
    if max(width * height, video.width * video.height) > MAX_PIXELS:
        raise ProcessingFailedError(Code.DIMENSIONS, f"{width}x{height}")
    if not math.isfinite(probe.duration) or not 0 < probe.duration <= limits.max_duration:
        raise ProcessingFailedError(Code.DURATION, f"{probe.duration} s")
    if video.average_fps > MAX_FPS:
        raise ProcessingFailedError(Code.FRAME_RATE, f"{float(video.average_fps):.0f} frames a second")
