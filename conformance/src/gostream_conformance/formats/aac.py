"""Parses AAC in ADTS: configuration and size of each frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from gostream_conformance.errors import AudioError
from gostream_conformance.formats.mpegts import CLOCK

SAMPLES_PER_FRAME = 1024
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_HEADER = 7


@dataclass(frozen=True, slots=True)
class AacConfig:
    """The values of an AudioSpecificConfig."""

    object_type: int  # 2 = AAC-LC
    sample_rate: int
    channels: int

    def __str__(self) -> str:
        return f"AAC {self.object_type} at {self.sample_rate} Hz in {self.channels} channels"

    @property
    def codec(self) -> str:
        """The name for the CODECS attribute (RFC 6381)."""
        return f"mp4a.40.{self.object_type}"

    @property
    def frame_ticks(self) -> float:
        """The duration of a frame in 90 kHz ticks."""
        return CLOCK * SAMPLES_PER_FRAME / self.sample_rate


@cache
def _config(object_type: int, rate: int, channels: int) -> AacConfig:
    """Returns a shared object per configuration, because a film has a million frames."""
    return AacConfig(object_type, _RATES[rate], channels)


def config_of(specific: bytes) -> AacConfig:
    """Returns the configuration in an AudioSpecificConfig (ISO 14496-3 1.6.2.1). Raises AudioError."""
    if len(specific) < 2:
        raise AudioError("a truncated AudioSpecificConfig")
    bits = int.from_bytes(specific[:2], "big")
    object_type, rate, channels = bits >> 11, bits >> 7 & 0x0F, bits >> 3 & 0x0F
    if not 0 < object_type < 31 or rate >= len(_RATES):
        raise AudioError(f"unsupported: AudioSpecificConfig 0x{bits:04x}")
    return _config(object_type, rate, channels)


def adts_frames(data: bytes) -> Iterator[tuple[AacConfig, int]]:
    """Yield (configuration, size in bytes) of each complete ADTS frame. Raises AudioError."""
    at = 0
    while at + _HEADER <= len(data):
        header = data[at : at + _HEADER]
        if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            raise AudioError("no ADTS header at the start of a frame", offset=at)
        rate = header[2] >> 2 & 0x0F
        size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        if rate >= len(_RATES) or size < _HEADER:
            raise AudioError("an invalid ADTS frame", offset=at)
        if header[6] & 3:
            raise AudioError("several AAC frames in one ADTS frame", offset=at)
        if at + size > len(data):
            return
        yield _config((header[2] >> 6) + 1, rate, (header[2] & 1) << 2 | header[3] >> 6), size
        at += size
