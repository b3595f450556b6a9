"""Encoding profiles: the rungs, and the x264 options of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gostream_shared.domain import profiles

#: A rung whose shorter side has at least this many pixels is coded as large.
LARGE = 720


@dataclass(frozen=True, slots=True)
class Coding:
    """Options of x264. `tuning` overrides the preset: name=value:name=value."""

    preset: str
    crf: float
    tuning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How sources are encoded. Rungs are given by their shorter side in pixels, which also fits portrait."""

    name: str
    large: Coding  # the top rung if its shorter side is `LARGE` or more; the most expensive rung
    middle: Coding  # other large rungs
    small: Coding  # small rungs: cheap, and enlarged by players
    rungs: tuple[int, ...] = (1080, 720, 360)
    max_fps: int = 60
    gop_seconds: int = 2
    segment_seconds: int = 6
    bitrate_1080p30: int = 5_000_000  # cap in bits per second; other sizes are derived from it
    audio_bitrate: int = 128_000


#: The measurements are in docs/explanation/encoding.md.
DEFAULT_PROFILE = Profile(
    name=profiles.DEFAULT,
    large=Coding(
        "superfast",
        23.75,
        "subme=2:mbtree=1:weightp=1:trellis=1:rc-lookahead=20:qcomp=0.7:aq-strength=0.2:deblock=-1,-1"
        ":ipratio=1.2",
    ),
    middle=Coding(
        "superfast",
        24.45,
        "subme=4:mbtree=1:weightp=1:trellis=1:rc-lookahead=20:qcomp=0.7:aq-strength=0.2:deblock=-1,-1"
        ":ipratio=1.1",
    ),
    small=Coding(
        "veryfast",
        25.1,
        "subme=4:trellis=1:rc-lookahead=20:qcomp=0.7:aq-strength=0.2:deblock=-1,-1:ipratio=1.1:b-bias=25",
    ),
)


QUALITY_PROFILE = Profile(
    name=profiles.QUALITY,
    large=Coding("fast", 22.5, "aq-strength=0.5"),
    middle=Coding("fast", 22.5, "aq-strength=0.5"),
    small=Coding("fast", 24, "aq-strength=0.2"),
)


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {profile.name: profile for profile in (DEFAULT_PROFILE, QUALITY_PROFILE)}
)
