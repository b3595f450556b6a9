"""Which renditions a source gets: a pure function of probe and profile."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from gostream_shared.domain import profiles
from gostream_worker.plan.stream_copy import Cuts, sound_fits, video_cuts
from gostream_worker.probe.model import AudioTrack, Probe, VideoTrack
from gostream_worker.probe.tracks.colour import HDR_TRANSFERS
from gostream_worker.publish.playlists import AUDIO

#: The frame rates that sources are made in; measured ones are snapped to these.
STANDARD_FPS = (
    *(Fraction(n) for n in (5, 10, 12, 15)),
    Fraction(24000, 1001),
    *(Fraction(n) for n in (24, 25)),
    Fraction(30000, 1001),
    *(Fraction(n) for n in (30, 48, 50)),
    Fraction(60000, 1001),
    Fraction(60),
)
_UNKNOWN_FPS = Fraction(25)
#: Shorter side in pixels from which on a rung is coded as a large one.
LARGE = 720
_SPARSE = 3
#: Seconds without a picture, at the end, from which on the last one is held.
_NOTICED = 1.0


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


#: docs/encoding.md has the figures.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rendition: even sizes in square pixels, how it is coded, and the cap of its bit rate."""

    name: str
    width: int
    height: int
    coding: Coding
    max_bitrate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides what the encoder does. `rungs` go from the largest to the smallest."""

    profile: Profile
    video: VideoTrack
    audio: AudioTrack | None
    duration: float
    fps: Fraction
    rungs: tuple[Rung, ...]
    hdr_transfer: str | None  # tone-mapped from this when set
    held_frames: int = 0  # so often the last picture is shown again, until the sound ends
    copied: Cuts | None = None  # the top rung is the source's picture as it is, and all are cut with it
    copies_sound: bool = False
    ignores_edits: bool = False
    is_fragmented: bool = False
    longest_pause: float = 0.0  # seconds; the clock of the source does not jump where one track pauses
    picture_ends: float | None = None  # of the source; None = nothing says it

    @property
    def renditions(self) -> list[str]:
        """Names of the rungs, and of the sound when there is any."""
        return [*(rung.name for rung in self.rungs), *([AUDIO] if self.audio else [])]

    @property
    def gop_frames(self) -> int:
        return max(1, round(self.fps * self.profile.gop_seconds))

    @property
    def segment_duration(self) -> Fraction:
        """Seconds of a full segment: a whole number of GOPs, so that rungs are cut at the same frames."""
        if self.copied:
            return self.copied.interval
        gops = max(1, self.profile.segment_seconds // self.profile.gop_seconds)
        return gops * self.gop_frames / self.fps

    @property
    def longest_segment(self) -> Fraction:
        """Seconds that no segment of the picture exceeds."""
        return self.copied.longest if self.copied else self.segment_duration

    @property
    def poster_at(self) -> float:
        """Second that the poster shows."""
        return self.duration / 10


def make_plan(probe: Probe, profile: Profile, *, may_copy: bool = True) -> Plan:
    """Decide. The probe must have been admitted (gostream_worker.probe.limits).

    With `may_copy` tracks that need no encoding are copied.
    """
    video = probe.video
    fps = choose_fps(video, profile.max_fps)
    held = _held_frames(probe, fps)
    width, height = display_size(video)
    shorts = list(_short_sides(width, height, profile))
    rungs = tuple(_rung(short, width, height, fps, profile, is_top=short == shorts[0]) for short in shorts)
    return Plan(
        profile=profile,
        video=video,
        audio=probe.audio,
        duration=probe.duration,
        fps=fps,
        rungs=rungs,
        hdr_transfer=HDR_TRANSFERS.get(video.transfer),
        held_frames=held,
        copied=_cuts(video, rungs[0], fps, profile) if may_copy and not held else None,
        copies_sound=may_copy and probe.audio is not None and sound_fits(probe.audio),
        ignores_edits=probe.ignores_edits,
        is_fragmented=probe.is_fragmented,
        longest_pause=probe.longest_pause,
        picture_ends=probe.picture_ends,
    )


def _held_frames(probe: Probe, fps: Fraction) -> int:
    """A cover has sound for minutes; that sound ends some frames after the picture is usual."""
    if probe.picture_ends is None:
        return 0
    missing = probe.duration - max(0.0, probe.picture_ends)
    return round(missing * fps) if missing >= _NOTICED else 0


def _cuts(video: VideoTrack, top: Rung, fps: Fraction, profile: Profile) -> Cuts | None:
    return video_cuts(
        video,
        size=(top.width, top.height),
        fps=fps,
        max_bitrate=top.max_bitrate,
        segment_seconds=profile.segment_seconds,
    )


def display_size(video: VideoTrack) -> tuple[int, int]:
    """Width and height in square pixels, upright."""
    width, height = round(video.width * video.sample_aspect), video.height
    return (height, width) if video.rotation % 180 else (width, height)


def choose_fps(video: VideoTrack, max_fps: int) -> Fraction:
    """The constant frame rate of every rung.

    A steady source keeps its rate, halved and so on until it fits. An unsteady one gets the rate of its grid
    unless most of that is empty, else the next standard rate above its average.
    """
    if video.average_fps <= 0:
        return _UNKNOWN_FPS
    steady = max(STANDARD_FPS[0], _steady_fps(video.average_fps, video.base_fps))
    return steady / math.ceil(steady / max_fps)


def _steady_fps(average: Fraction, base: Fraction) -> Fraction:
    if base > 0 and abs(average - base) <= base / 100:
        # What a fragmented file says of its average may be a little off; its grid is not.
        return _standard(average) or _standard(base) or average.limit_denominator(1001)
    if average < base <= _SPARSE * average and base <= STANDARD_FPS[-1]:
        return base
    return next((rate for rate in STANDARD_FPS if rate >= average * Fraction(99, 100)), STANDARD_FPS[-1])


def _standard(measured: Fraction) -> Fraction | None:
    nearest = min(STANDARD_FPS, key=lambda rate: abs(rate - measured))
    return nearest if abs(nearest - measured) < measured / 1000 else None


def _short_sides(width: int, height: int, profile: Profile) -> Iterator[int]:
    """Shorter sides of the rungs, falling: never above the source, and two whenever there is room for two."""
    top = _even_floor(min(width, height, profile.rungs[0]))
    yield top
    lower = [rung for rung in profile.rungs if rung <= top * 0.85]
    if not lower and top >= 240:
        lower = [_even_floor(top // 2)]
    yield from lower


def _rung(short: int, width: int, height: int, fps: Fraction, profile: Profile, *, is_top: bool) -> Rung:
    long_source = max(width, height)
    long = min(2 * round(long_source * short / min(width, height) / 2), _even_floor(long_source))
    return Rung(
        name=f"{short}p",
        width=short if width < height else long,
        height=long if width < height else short,
        coding=_coding(profile, short, is_top),
        max_bitrate=_max_bitrate(short * long, fps, profile),
    )


def _coding(profile: Profile, short: int, is_top: bool) -> Coding:
    if short < LARGE:
        return profile.small
    return profile.large if is_top else profile.middle


def _max_bitrate(pixels: int, fps: Fraction, profile: Profile) -> int:
    """Larger pictures need fewer bits per pixel, and more frames fewer bits per frame."""
    size = math.pow(pixels / (1920 * 1080), 0.75)
    motion = math.pow(max(1.0, float(fps) / 30), 0.6)
    return max(100_000, round(profile.bitrate_1080p30 * size * motion / 50_000) * 50_000)


def _even_floor(pixels: int) -> int:
    return pixels - pixels % 2
