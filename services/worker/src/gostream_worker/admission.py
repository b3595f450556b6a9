"""Which sources are admitted: pure checks of what the probe found."""

import math
from dataclasses import dataclass

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ladder import display_size
from gostream_worker.media import Probe

#: 4096 × 2160; the decoder is told the same limit.
MAX_PIXELS = 8_847_360
MIN_SIDE = 16
MAX_FPS = 480

#: Demuxers that may read a source. All read one local file; none follows references to others.
CONTAINERS = ("mov", "matroska", "mpegts", "mpeg", "avi", "flv", "asf", "ogg")
#: Protocols that the source may be read by; either way there is nothing else at the other end.
FILE_PROTOCOLS, LOOPBACK_PROTOCOLS = ("file",), ("http", "tcp")
VIDEO_DECODERS = (
    *("h264", "hevc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mpeg2video"),
    *("mpeg1video", "h263", "flv", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2", "wmv3", "vc1", "theora"),
    *("prores", "dnxhd", "mjpeg", "ffv1", "dvvideo", "rawvideo", "svq3"),
)
AUDIO_DECODERS = (
    *("aac", "aac_latm", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "opus", "libopus", "vorbis"),
    *("libvorbis", "flac", "alac", "wmav1", "wmav2", "wmapro", "amrnb", "amrwb", "dca"),
    *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_f32be"),
    *(
        "pcm_u8",
        "pcm_alaw",
        "pcm_mulaw",
        "pcm_bluray",
        "pcm_dvd",
        "adpcm_ms",
        "adpcm_ima_wav",
        "adpcm_ima_qt",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """What this deployment accepts. Bytes and seconds."""

    max_bytes: int
    max_duration: float


def is_served(url: str) -> bool:
    """Whether what is read there is fetched from the store meanwhile."""
    return not url.startswith("file:")


def protocols(url: str) -> tuple[str, ...]:
    """What is needed to read the source at that URL, and no more."""
    return LOOPBACK_PROTOCOLS if is_served(url) else FILE_PROTOCOLS


def admit_size(size_bytes: int, limits: SourceLimits) -> None:
    """Raises ProcessingFailedError for an empty or too large object, before it is fetched."""
    if size_bytes == 0:
        raise ProcessingFailedError(Code.SOURCE_EMPTY)
    if size_bytes > limits.max_bytes:
        raise ProcessingFailedError(Code.TOO_LARGE, f"{size_bytes} bytes")


def admit(probe: Probe, limits: SourceLimits) -> None:
    """Raises ProcessingFailedError for a source that could be decoded but will not be."""
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
