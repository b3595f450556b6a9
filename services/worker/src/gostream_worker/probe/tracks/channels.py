"""Reads the channels of an audio track from its codec header. Pure.

PyAV's AudioLayout (18.1) frees memory that it does not own if channels are not in ffmpeg's usual order.
PyAV's channel count and decoded audio frames use it, so neither is used on a source.
"""

from dataclasses import dataclass
from math import isqrt

from gostream_conformance.errors import VideoError
from gostream_conformance.formats.h264 import Bits

_OPUS = b"OpusHead"
_AMBISONIC_FAMILIES = (2, 3)
#: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): a longer object type or an explicit rate follows.
_ESCAPE, _EXPLICIT_RATE = 31, 15
#: Channels by channelConfiguration; other values are described later in the header.
_AAC_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_SA3D_SIZE, _SA3D_PERIPHONIC = 12, 0


@dataclass(frozen=True, slots=True)
class Channels:
    """`count` 0: unknown. `is_ambisonic`: directions W, Y, Z, X … (ACN) instead of speakers."""

    count: int = 0
    is_ambisonic: bool = False


def read_channels(codec: str, header: bytes, spatial: bytes = b"") -> Channels:
    """Parses a codec header (AudioSpecificConfig, OpusHead) and the container's SA3D box."""
    if len(spatial) >= _SA3D_SIZE and spatial[1] & 0x7F == _SA3D_PERIPHONIC:
        count = int.from_bytes(spatial[8:12], "big")
        return Channels(count, is_ambisonic=_is_ambisonic_count(count))
    if codec == "aac":
        return Channels(_aac_channels(header))
    if codec in {"opus", "libopus"} and header.startswith(_OPUS) and len(header) >= 19:
        is_ambisonic = header[18] in _AMBISONIC_FAMILIES and _is_ambisonic_count(header[9])
        return Channels(header[9], is_ambisonic)
    return Channels()


def _is_ambisonic_count(channels: int) -> bool:
    """Returns whether it is a square number, or one plus two head-locked channels (RFC 8486)."""
    return channels > 1 and channels - isqrt(channels) ** 2 in {0, 2}


def head_locked(channels: int) -> int | None:
    """Returns the first of the two head-locked stereo channels after an ambisonic sound, if any."""
    return channels - 2 if channels - isqrt(channels) ** 2 == 2 else None


def _aac_channels(config: bytes) -> int:
    bits = Bits(config)
    try:
        if bits.read(5) == _ESCAPE:
            bits.read(6)
        if bits.read(4) == _EXPLICIT_RATE:
            bits.read(24)
        configuration = bits.read(4)
    except VideoError:
        return 0
    return _AAC_CHANNELS[configuration] if configuration < len(_AAC_CHANNELS) else 0
