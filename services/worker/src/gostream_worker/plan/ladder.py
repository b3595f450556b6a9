"""Plans the renditions of a source: a pure function of probe and profile."""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from gostream_worker.plan.chunks import WHOLE, Chunk, plan_chunks, preroll
from gostream_worker.plan.plan import Plan, Rung
from gostream_worker.plan.profiles import LARGE, Coding, Profile
from gostream_worker.plan.sounds import plan_sounds
from gostream_worker.plan.stream_copy import Cuts, video_cuts
from gostream_worker.plan.texts import plan_texts
from gostream_worker.plan.tracks import list_fates
from gostream_worker.probe.model import Probe, VideoTrack, display_size
from gostream_worker.probe.tracks.colour import HDR_TRANSFERS

#: Standard frame rates. Measured rates are snapped to them.
STANDARD_FPS = (
    *(Fraction(n) for n in (5, 10, 12, 15)),
    Fraction(24000, 1001),
    *(Fraction(n) for n in (24, 25)),
    Fraction(30000, 1001),
    *(Fraction(n) for n in (30, 48, 50)),
    Fraction(60000, 1001),
    Fraction(60),
)
#: Tries that publish further sounds, and subtitles.
TRIES_WITH_EXTRAS = 2
_UNKNOWN_FPS = Fraction(25)
_SPARSE = 3
#: Threads of x264 if one process encodes the film: those of the largest encoded rung, and of each other one.
#: Measured on two processors: as fast as any other choice, and no costlier.
_LARGEST_THREADS, _OTHER_THREADS = 4, 2
#: Minimum seconds between the end of the picture and the end of the film for the last frame to be held.
_NOTICED = 1.0


def make_plan(
    probe: Probe,
    profile: Profile,
    *,
    may_copy: bool = True,
    with_extras: bool = True,
    may_divide: bool = False,
) -> Plan:
    """Returns the plan of a film. The probe must have been admitted (gostream_worker.probe.limits).

    With `may_copy`, tracks that need no encoding are copied. Without `with_extras`, only the film's own
    sound is published, and no subtitles. With `may_divide`, a long film has several chunks.
    """
    video = probe.video
    if video is None:
        raise ValueError("sound alone has a plan of its own: gostream_worker.plan.sound_only")
    fps = choose_fps(video, profile.max_fps)
    held = _held_frames(probe, fps)
    sounds = plan_sounds(probe, may_copy=may_copy, with_extras=with_extras)
    texts = plan_texts(probe) if with_extras else ()
    width, height = display_size(video)
    shorts = list(_short_sides(width, height, profile))
    rungs = tuple(_rung(short, width, height, fps, profile, is_top=short == shorts[0]) for short in shorts)
    plan = Plan(
        profile=profile,
        video=video,
        sounds=sounds,
        duration=probe.duration,
        fps=fps,
        rungs=rungs,
        hdr_transfer=HDR_TRANSFERS.get(video.transfer),
        held_frames=held,
        copied=_cuts(video, rungs[0], fps, profile) if may_copy and not held else None,
        texts=texts,
        tracks=list_fates(probe, sounds, texts),
        container=probe.container,
        ignores_edits=probe.ignores_edits,
        is_fragmented=probe.is_fragmented,
        whole_bytes=probe.whole_bytes,
        longest_pause=probe.longest_pause,
        picture_ends=probe.picture_ends,
        preroll=preroll(video, ignores_edits=probe.ignores_edits),
    )
    divided = replace(plan, chunks=_chunks(plan)) if may_divide else plan
    return replace(divided, rungs=_with_threads(divided))


def _chunks(plan: Plan) -> tuple[Chunk, ...]:
    if plan.copied or plan.preroll is None:
        return (WHOLE,)
    return plan_chunks(
        pictures=round(plan.duration * plan.fps) - plan.held_frames,
        fps=plan.fps,
        segment_frames=plan.segment_frames,
        has_sound=bool(plan.sounds or plan.texts),
    )


def _with_threads(plan: Plan) -> tuple[Rung, ...]:
    """Returns the rungs. With several chunks, one thread: the other processors encode other chunks."""
    if not plan.is_whole:
        return plan.rungs
    largest = 1 if plan.copied else 0
    return tuple(
        replace(rung, threads=_LARGEST_THREADS if number == largest else _OTHER_THREADS)
        for number, rung in enumerate(plan.rungs)
    )


def plan_attempt(probe: Probe, profile: Profile, *, tries: int, may_divide: bool = False) -> Plan:
    """Returns the plan of the attempt with that number of tries.

    Copied tracks inherit the source's defects: if an attempt failed because of them, the next one encodes,
    and the one after it leaves out further tracks.
    """
    return make_plan(
        probe,
        profile,
        may_copy=tries == 1,
        with_extras=tries <= TRIES_WITH_EXTRAS,
        may_divide=may_divide,
    )


def _held_frames(probe: Probe, fps: Fraction) -> int:
    """Returns the number of frames to hold at the end.

    Gaps below 1 s are normal; a cover image may have minutes of sound.
    """
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


def choose_fps(video: VideoTrack, max_fps: int) -> Fraction:
    """Returns the constant frame rate of every rung.

    A steady source keeps its rate, divided by an integer to fit the maximum. An unsteady source gets the rate
    of its timestamp grid unless most of the grid is empty, else the next standard rate above its average.
    """
    if video.average_fps <= 0:
        return _UNKNOWN_FPS
    steady = max(STANDARD_FPS[0], _steady_fps(video.average_fps, video.base_fps))
    return steady / math.ceil(steady / max_fps)


def _steady_fps(average: Fraction, base: Fraction) -> Fraction:
    if base > 0 and abs(average - base) <= base / 100:
        # The average of a fragmented file may be slightly wrong; its grid is exact.
        return _standard(average) or _standard(base) or average.limit_denominator(1001)
    if average < base <= _SPARSE * average and base <= STANDARD_FPS[-1]:
        return base
    return next((rate for rate in STANDARD_FPS if rate >= average * Fraction(99, 100)), STANDARD_FPS[-1])


def _standard(measured: Fraction) -> Fraction | None:
    nearest = min(STANDARD_FPS, key=lambda rate: abs(rate - measured))
    return nearest if abs(nearest - measured) < measured / 1000 else None


def _short_sides(width: int, height: int, profile: Profile) -> Iterator[int]:
    """Yields the shorter sides of the rungs, falling: never above the source, and two if possible."""
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
    """Larger pictures need fewer bits per pixel, and higher rates fewer bits per frame."""
    size = math.pow(pixels / (1920 * 1080), 0.75)
    motion = math.pow(max(1.0, float(fps) / 30), 0.6)
    return max(100_000, round(profile.bitrate_1080p30 * size * motion / 50_000) * 50_000)


def _even_floor(pixels: int) -> int:
    return pixels - pixels % 2
