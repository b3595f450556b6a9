"""The loudness of a published sound, and the loudness that callers may ask for."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class LoudnessTarget(enum.StrEnum):
    """The loudness that an encode gives to its sounds, in LUFS. The names are the ends of the API's enum."""

    LUFS_16 = "LUFS_16"
    LUFS_23 = "LUFS_23"


#: The integrated loudness of each target in LUFS.
LUFS: Mapping[LoudnessTarget, float] = MappingProxyType(
    {LoudnessTarget.LUFS_16: -16.0, LoudnessTarget.LUFS_23: -23.0}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """The integrated loudness in LUFS and the true peak in dBTP (EBU R 128)."""

    integrated_lufs: float
    true_peak_dbtp: float
