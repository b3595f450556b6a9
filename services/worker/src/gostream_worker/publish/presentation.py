"""Builds the published presentation from measured segments. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.tracks import TrackCode
from gostream_shared.domain.video import Rendition
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.media_units import CHANNELS, CLOCK
from gostream_worker.object_names import AUDIO, iframe_playlist_name, playlist_name
from gostream_worker.plan.plan import Plan, Rung
from gostream_worker.plan.sounds import Sound
from gostream_worker.plan.storyboard import cues, plan_storyboard
from gostream_worker.plan.texts import Text
from gostream_worker.publish.measure import Measured, MeasuredSegments, require_bounded_peaks
from gostream_worker.publish.playlists import (
    AudioRendition,
    Bandwidth,
    IFrame,
    IFrameVariant,
    Segment,
    TextRendition,
    Variant,
    iframe_playlist,
    largest,
    master_playlist,
    measure_bandwidth,
    media_playlist,
    target_duration,
)
from gostream_worker.publish.subtitles import publish_texts
from gostream_worker.text.reader import Read

# Tolerance between a container's duration and the decoded duration.
_DURATION_SLACK = 0.05
_DURATION_SLACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """The playlists' text by path below the encode's prefix, and the values for the video's row.

    `cues` are the storyboard's. `duration` is that of the picture, `sound` that of the sound, if any.
    """

    playlists: Mapping[str, str]
    master: str
    cues: str
    renditions: tuple[Rendition, ...]
    duration: timedelta
    sound: timedelta | None = None
    texts: Mapping[str, str] = field(default_factory=dict)  # files of subtitles by path
    unread: Mapping[int, TrackCode] = field(default_factory=dict)  # reasons by index of unpublished subtitles


def present(
    plan: Plan, measured: MeasuredSegments, encode: Encode, texts: Mapping[Text, Read] | None = None
) -> Presentation:
    """Writes the playlists and subtitles of that attempt.

    Raises ProcessingFailedError if segments are missing, or too large where two chunks meet.
    """
    segments = {name: _segments(plan, name, parts) for name, parts in measured.items()}
    _require_complete(plan, segments)
    require_bounded_peaks(plan, measured)
    target = target_duration(*segments.values())
    bandwidths = {name: measure_bandwidth(parts, target=target) for name, parts in segments.items()}
    iframes = {rung.name: _iframes(segments[rung.name], measured[rung.name]) for rung in plan.rungs}
    playlist = playlist_name(encode.attempt)
    variants = [_variant(plan, measured, bandwidths, rung, encode) for rung in plan.rungs]
    sounds = [audio_rendition(sound, f"v{encode.number}/{sound.folder}/{playlist}") for sound in plan.sounds]
    trick = [
        IFrameVariant(
            uri=f"v{encode.number}/{rung.name}/{iframe_playlist_name(encode.attempt)}",
            width=rung.width,
            height=rung.height,
            codecs=_codec(measured[rung.name]),
            bandwidth=measure_bandwidth(iframes[rung.name], target=target),
        )
        for rung in plan.rungs
    ]
    top = plan.rungs[0].name
    begins = next(iter(measured[top].values())).first_pts
    published, unread = publish_texts(
        texts or {}, segments[top], begins=begins, target=target, attempt=encode.attempt
    )
    duration = timedelta(seconds=_total(segments[plan.rungs[0].name]) / CLOCK)
    return Presentation(
        playlists=_playlists(measured, segments, iframes, target, encode.attempt),
        master=master_playlist(
            variants,
            sounds,
            trick,
            texts=[text_rendition(found.text, f"v{encode.number}/{found.playlist}") for found in published],
            captions=plan.video.has_captions,
        ),
        renditions=tuple(map(_rendition, (rung.name for rung in plan.rungs), variants)),
        cues=cues(plan_storyboard(plan), frames=_frames(measured[plan.rungs[-1].name]), duration=duration),
        duration=duration,
        sound=timedelta(seconds=_total(segments[AUDIO]) / CLOCK) if plan.sounds else None,
        texts={path: text for found in published for path, text in found.files.items()},
        unread=unread,
    )


def _playlists(
    measured: MeasuredSegments,
    segments: Mapping[str, Sequence[Segment]],
    iframes: Mapping[str, Sequence[IFrame]],
    target: int,
    attempt: int,
) -> dict[str, str]:
    playlists = {
        f"{name}/{playlist_name(attempt)}": media_playlist(parts, target=target)
        for name, parts in segments.items()
    }
    for name, pictures in iframes.items():
        header = next(iter(measured[name].values())).whole.tables_end
        playlists[f"{name}/{iframe_playlist_name(attempt)}"] = iframe_playlist(
            pictures, header=header, target=target
        )
    return playlists


def _segments(plan: Plan, name: str, parts: Mapping[str, Measured]) -> list[Segment]:
    """Each segment lasts until the next one begins; the last one until its last frame ends."""
    ordered = list(parts.items())
    ends = (
        [measured.first_pts for _, measured in ordered[1:]] + [_end(plan, ordered[-1][1])] if ordered else []
    )
    return [
        Segment(name=file, ticks=end - measured.first_pts, size=measured.whole.size)
        for (file, measured), end in zip(ordered, ends, strict=True)
    ]


def _iframes(segments: Sequence[Segment], parts: Mapping[str, Measured]) -> list[IFrame]:
    """Each key frame is shown until the next one; the last one until the end."""
    found = [(segment.name, frame) for segment in segments for frame in parts[segment.name].whole.key_frames]
    if not found:
        raise ProcessingFailedError(Code.INTERNAL, "segments.start: a rendition without a key frame")
    end = parts[segments[0].name].first_pts + _total(segments)
    ends = [frame.pts for _, frame in found[1:]] + [end]
    return [
        IFrame(name=name, ticks=until - frame.pts, offset=frame.offset, size=frame.size)
        for (name, frame), until in zip(found, ends, strict=True)
    ]


def _end(plan: Plan, last: Measured) -> int:
    if last.whole.video:
        return last.whole.video.last_pts + round(CLOCK / plan.fps)
    return last.first_pts + (last.whole.audio.ticks if last.whole.audio else 0)


def _frames(parts: Mapping[str, Measured]) -> int:
    return sum(part.whole.video.frames for part in parts.values() if part.whole.video)


def _total(segments: Sequence[Segment]) -> int:
    return sum(segment.ticks for segment in segments)


def _require_complete(plan: Plan, segments: Mapping[str, Sequence[Segment]]) -> None:
    expected = set(plan.renditions)
    if {name for name, parts in segments.items() if parts} != expected:
        raise ProcessingFailedError(
            Code.CORRUPT_STREAM, f"nothing was decoded for some of {sorted(expected)}"
        )
    held = float(plan.held_frames / plan.fps)
    rungs = {rung.name for rung in plan.rungs}
    longest = max(
        _total(parts) / CLOCK - (held if name in rungs else 0.0) for name, parts in segments.items()
    )
    if longest < plan.duration * (1 - _DURATION_SLACK) - _DURATION_SLACK_SECONDS:
        raise ProcessingFailedError(
            Code.TRUNCATED, f"{longest:.1f} of {plan.duration:.1f} s could be decoded"
        )


def _variant(
    plan: Plan, measured: MeasuredSegments, bandwidths: Mapping[str, Bandwidth], rung: Rung, encode: Encode
) -> Variant:
    sounds = [bandwidths[sound.folder] for sound in plan.sounds]
    return Variant(
        uri=f"v{encode.number}/{rung.name}/{playlist_name(encode.attempt)}",
        width=rung.width,
        height=rung.height,
        fps=plan.fps,
        codecs=",".join(dict.fromkeys(_codec(measured[name]) for name in (rung.name, *_folders(plan)))),
        bandwidth=bandwidths[rung.name] + largest(sounds),
    )


def audio_rendition(sound: Sound, uri: str) -> AudioRendition:
    """Returns how the master playlist describes a planned sound with a playlist at `uri`."""
    return AudioRendition(
        uri=uri,
        channels=CHANNELS,
        language=sound.audio.language,
        name=sound.name,
        is_default=sound.is_default,
        autoselect=sound.autoselect,
        characteristics=sound.characteristics,
    )


def text_rendition(text: Text, uri: str) -> TextRendition:
    """Returns how the master playlist describes subtitles with a playlist at `uri`."""
    return TextRendition(
        uri=uri,
        name=text.name,
        language=text.language,
        is_default=text.is_default,
        is_forced=text.is_forced,
        autoselect=text.autoselect,
        characteristics=text.characteristics,
    )


def _folders(plan: Plan) -> list[str]:
    return [sound.folder for sound in plan.sounds]


def _codec(parts: Mapping[str, Measured]) -> str:
    return next(iter(parts.values())).codec


def _rendition(name: str, variant: Variant) -> Rendition:
    return Rendition(
        name=name,
        width=variant.width,
        height=variant.height,
        codecs=variant.codecs,
        average_bandwidth=variant.bandwidth.average,
        peak_bandwidth=variant.bandwidth.peak,
    )
