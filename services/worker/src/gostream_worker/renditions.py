"""From measured segments to what is published: pure, and the encoder's work is checked on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from gostream_shared.domain.video import Rendition
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.hls import (
    AUDIO,
    CLOCK,
    PLAYLIST,
    AudioRendition,
    Bandwidth,
    Segment,
    Variant,
    master_playlist,
    measure_bandwidth,
    media_playlist,
    target_duration,
)
from gostream_worker.ladder import Plan
from gostream_worker.mpegts import Measured

#: Rendition → its segments by name, as measured.
MeasuredSegments = Mapping[str, Mapping[str, Measured]]
_CHANNELS = 2
# What containers say of their duration may be wrong by this much and still be whole.
_DURATION_SLACK = 0.05
_DURATION_SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """The playlists' text by path below the encode's prefix, and what the video's row says of it."""

    playlists: Mapping[str, str]
    master: str
    renditions: tuple[Rendition, ...]
    duration: timedelta


def present(plan: Plan, measured: MeasuredSegments, *, number: int) -> Presentation:
    """Write the playlists of encode `number`. Raises ProcessingFailedError when the segments are wrong."""
    segments = {name: _segments(plan, name, parts) for name, parts in measured.items()}
    _require_complete(plan, measured, segments)
    target = target_duration(*segments.values())
    bandwidths = {name: measure_bandwidth(parts, target=target) for name, parts in segments.items()}
    variants = [_variant(plan, measured, bandwidths, rung.name, number) for rung in plan.rungs]
    audio = AudioRendition(uri=_uri(number, AUDIO), channels=_CHANNELS) if plan.audio else None
    return Presentation(
        playlists={
            f"{name}/{PLAYLIST}": media_playlist(parts, target=target) for name, parts in segments.items()
        },
        master=master_playlist(variants, audio),
        renditions=tuple(map(_rendition, (rung.name for rung in plan.rungs), variants)),
        duration=timedelta(seconds=_total(segments[plan.rungs[0].name]) / CLOCK),
    )


def _segments(plan: Plan, name: str, parts: Mapping[str, Measured]) -> list[Segment]:
    """Each lasts until the next one begins, the last one until its last frame ends."""
    ordered = sorted(parts.items())
    ends = (
        [measured.first_pts for _, measured in ordered[1:]] + [_end(plan, ordered[-1][1])] if ordered else []
    )
    return [
        Segment(name=file, ticks=end - measured.first_pts, size=measured.size)
        for (file, measured), end in zip(ordered, ends, strict=True)
    ]


def _end(plan: Plan, last: Measured) -> int:
    return last.end if last.end is not None else last.last_pts + round(CLOCK / plan.fps)


def _total(segments: Sequence[Segment]) -> int:
    return sum(segment.ticks for segment in segments)


def _require_complete(
    plan: Plan, measured: MeasuredSegments, segments: Mapping[str, Sequence[Segment]]
) -> None:
    expected = {rung.name for rung in plan.rungs} | ({AUDIO} if plan.audio else set())
    if {name for name, parts in segments.items() if parts} != expected:
        raise ProcessingFailedError(
            Code.CORRUPT_STREAM, f"nothing was decoded for some of {sorted(expected)}"
        )
    cuts = {
        rung.name: [(m.first_pts, m.frames) for _, m in sorted(measured[rung.name].items())]
        for rung in plan.rungs
    }
    if any(cut != cuts[plan.rungs[0].name] for cut in cuts.values()):
        raise ProcessingFailedError(Code.INTERNAL, "the rungs are not cut at the same frames")
    if any(segment.ticks <= 0 for parts in segments.values() for segment in parts):
        raise ProcessingFailedError(Code.INTERNAL, "a segment has no duration")
    longest = max(_total(parts) for parts in segments.values()) / CLOCK
    if longest < plan.duration * (1 - _DURATION_SLACK) - _DURATION_SLACK_SECONDS:
        raise ProcessingFailedError(
            Code.TRUNCATED, f"{longest:.1f} of {plan.duration:.1f} s could be decoded"
        )


def _variant(
    plan: Plan, measured: MeasuredSegments, bandwidths: Mapping[str, Bandwidth], name: str, number: int
) -> Variant:
    rung = next(rung for rung in plan.rungs if rung.name == name)
    tracks = [name, AUDIO] if plan.audio else [name]
    silent = Bandwidth(average=0, peak=0)
    return Variant(
        uri=_uri(number, name),
        width=rung.width,
        height=rung.height,
        fps=Fraction(plan.fps),
        codecs=",".join(next(iter(measured[track].values())).codec for track in tracks),
        bandwidth=sum((bandwidths[track] for track in tracks), silent),
    )


def _uri(number: int, rendition: str) -> str:
    return f"v{number}/{rendition}/{PLAYLIST}"


def _rendition(name: str, variant: Variant) -> Rendition:
    return Rendition(
        name=name,
        width=variant.width,
        height=variant.height,
        codecs=variant.codecs,
        average_bandwidth=variant.bandwidth.average,
        peak_bandwidth=variant.bandwidth.peak,
    )
