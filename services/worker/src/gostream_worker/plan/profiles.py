"""Encoding profiles: which rungs, and how x264 codes each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gostream_shared.domain import profiles

#: Shorter side in pixels from which on a rung is coded as a large one.
LARGE = 720


@dataclass(frozen=True, slots=True)
class Coding:
    """What x264 is told: `tuning` is its own options over those of the preset, name=value:name=value."""

    preset: str
    crf: float
    tuning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How sources are encoded. Rungs are given by their shorter side in pixels, so that portrait works."""

    name: str
    large: Coding  # the top rung when its shorter side is `LARGE` or more: it costs the most
    middle: Coding  # other rungs of such sizes
    small: Coding  # the rest, which cost little and are shown enlarged
    rungs: tuple[int, ...] = (1080, 720, 360)
    max_fps: int = 60
    gop_seconds: int = 2
    segment_seconds: int = 6
    bitrate_1080p30: int = 5_000_000  # cap in bits per second; other sizes follow from it
    audio_bitrate: int = 128_000


#: docs/explanation/encoding.md has the figures.
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
