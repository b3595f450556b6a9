"""Builds the published presentation of sound alone from measured segments. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.video import Rendition
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.media_units import CLOCK
from gostream_worker.object_names import AUDIO, playlist_name
from gostream_worker.plan.sound_only import SoundPlan, folder_of, rung_name
from gostream_worker.publish.measure import Measured, MeasuredSegments
from gostream_worker.publish.playlists import (
    AudioRendition,
    Bandwidth,
    Segment,
    largest,
    measure_bandwidth,
    media_playlist,
    target_duration,
)
from gostream_worker.publish.presentation import audio_rendition
from gostream_worker.sound_only.master import SoundVariant, master_of_sounds

# Tolerance between a container's duration and the decoded duration.
_SLACK, _SLACK_SECONDS = 0.05, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPresentation:
    """The playlists' text by path below the encode's prefix. `seconds` is the length of the default sound."""

    playlists: Mapping[str, str]
    master: str
    renditions: tuple[Rendition, ...]
    seconds: float


def present_sound(plan: SoundPlan, measured: MeasuredSegments, encode: Encode) -> SoundPresentation:
    """Writes the playlists of that attempt. Raises ProcessingFailedError if segments are missing."""
    segments = {name: _segments(measured.get(name, {})) for name in plan.renditions}
    _require_complete(plan, segments)
    target = target_duration(*segments.values())
    bandwidths = {name: measure_bandwidth(parts, target=target) for name, parts in segments.items()}
    variants = [_variant(plan, rate, measured, bandwidths, encode) for rate in plan.rates]
    playlist = playlist_name(encode.attempt)
    return SoundPresentation(
        playlists={
            f"{name}/{playlist}": media_playlist(parts, target=target) for name, parts in segments.items()
        },
        master=master_of_sounds(variants),
        renditions=tuple(map(_rendition, plan.rates, variants)),
        seconds=_seconds(segments[plan.renditions[0]]),
    )


def _segments(parts: Mapping[str, Measured]) -> list[Segment]:
    """Each segment lasts until the next one begins; the last one until its last frame ends."""
    ordered = list(parts.items())
    ends = [after.first_pts for _, after in ordered[1:]]
    ends += [last.first_pts + (last.whole.audio.ticks if last.whole.audio else 0) for _, last in ordered[-1:]]
    return [
        Segment(name=name, ticks=end - part.first_pts, size=part.whole.size)
        for (name, part), end in zip(ordered, ends, strict=True)
    ]


def _seconds(segments: Sequence[Segment]) -> float:
    return sum(segment.ticks for segment in segments) / CLOCK


def _require_complete(plan: SoundPlan, segments: Mapping[str, Sequence[Segment]]) -> None:
    if missing := [name for name, parts in segments.items() if not parts]:
        raise ProcessingFailedError(Code.CORRUPT_STREAM, f"nothing was decoded for {missing}")
    longest = max(map(_seconds, segments.values()))
    if not plan.is_estimated and longest < plan.duration * (1 - _SLACK) - _SLACK_SECONDS:
        raise ProcessingFailedError(
            Code.TRUNCATED, f"{longest:.1f} of {plan.duration:.1f} s could be decoded"
        )


def _variant(
    plan: SoundPlan,
    rate: int,
    measured: MeasuredSegments,
    bandwidths: Mapping[str, Bandwidth],
    encode: Encode,
) -> SoundVariant:
    folders = [folder_of(sound, rate) for sound in plan.sounds]
    uris = [f"v{encode.number}/{folder}/{playlist_name(encode.attempt)}" for folder in folders]
    sounds = map(audio_rendition, plan.sounds, uris)
    group = f"{AUDIO}-{rung_name(rate)}"
    return SoundVariant(
        uri=uris[0],
        codecs=",".join(dict.fromkeys(next(iter(measured[folder].values())).codec for folder in folders)),
        bandwidth=largest([bandwidths[folder] for folder in folders]),
        sounds=tuple(_in_group(sound, group) for sound in sounds) if len(uris) > 1 else (),
    )


def _in_group(sound: AudioRendition, group: str) -> AudioRendition:
    return replace(sound, group=group)


def _rendition(rate: int, variant: SoundVariant) -> Rendition:
    return Rendition(
        name=rung_name(rate),
        width=0,
        height=0,
        codecs=variant.codecs,
        average_bandwidth=variant.bandwidth.average,
        peak_bandwidth=variant.bandwidth.peak,
    )
