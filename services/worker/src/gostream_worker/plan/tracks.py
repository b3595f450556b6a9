"""Decides what happens to each track of a source: published, or left out with a code. Pure."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from itertools import chain, count

from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_worker.media_units import CHANNELS
from gostream_worker.plan.language_names import language_name
from gostream_worker.probe.model import Probe, SourceTrack
from gostream_worker.sandbox.allowlist import AUDIO_DECODERS

#: Entries of Video.tracks. The replies of the API are bounded by it.
MAX_LISTED = 100
#: ffmpeg's decoders of subtitles that are pictures.
_IMAGES = frozenset(
    {"pgssub", "hdmv_pgs_subtitle", "dvbsub", "dvb_subtitle", "dvdsub", "dvd_subtitle", "xsub"}
)
#: Names of tracks of which nothing is known.
_USUAL = {TrackKind.AUDIO: "Sound", TrackKind.SUBTITLES: "Subtitles"}
_CAPTIONS = Track(
    id="captions", kind=TrackKind.SUBTITLES, state=TrackState.READY, name="Captions", is_embedded=True
)


def decide_tracks(probe: Probe) -> tuple[Track, ...]:
    """Returns every track of the source besides the picture, in the source's order.

    Captions in the picture come first. At most MAX_LISTED: an entry at the end counts the others.
    """
    tracks = [_decided(track, probe) for track in probe.tracks]
    return _bounded([*([_CAPTIONS] if probe.video.has_captions else []), *_uniquely_named(tracks)])


def _decided(track: SourceTrack, probe: Probe) -> Track:
    is_published = probe.audio is not None and track.index == probe.audio.index
    code = None if is_published else _reason(track)
    return Track(
        id=track.kind if track.index < 0 else f"{track.kind}-{track.index}",
        kind=TrackKind[track.kind.upper()],
        state=TrackState.SKIPPED if code else TrackState.READY,
        language=track.language or "",
        name=name_of(track),
        is_default=is_published,
        is_forced=track.kind == "subtitles" and track.is_forced,
        is_sdh=track.kind == "subtitles" and track.is_sdh,
        channels=CHANNELS if is_published else track.channels,
        error_code=code or "",
    )


def _reason(track: SourceTrack) -> TrackCode:
    """Returns why a track is not published."""
    if track.kind == "chapters":
        return TrackCode.UNSUPPORTED_CHAPTERS
    if track.is_empty:
        return TrackCode.EMPTY_TRACK
    if track.kind == "video":
        return TrackCode.SECOND_PICTURE
    if track.kind == "subtitles":
        return TrackCode.IMAGE_SUBTITLES if track.codec in _IMAGES else TrackCode.UNSUPPORTED_SUBTITLES
    return TrackCode.TOO_MANY_TRACKS if track.codec in AUDIO_DECODERS else TrackCode.UNSUPPORTED_AUDIO


def name_of(track: SourceTrack) -> str:
    """Returns a track's title, or the name of its language with what it is; empty if nothing is known."""
    if track.title or not track.language:
        return track.title
    name = language_name(track.language)
    if track.kind == "audio" and track.describes_video:
        return f"{name} (audio description)"
    if track.kind == "audio" and track.is_commentary:
        return f"{name} (commentary)"
    if track.kind == "subtitles" and track.is_forced:
        return f"{name} (forced)"
    return f"{name} (SDH)" if track.kind == "subtitles" and track.is_sdh else name


def _uniquely_named(tracks: Iterable[Track]) -> list[Track]:
    """Gives each published track a name that no other published track of its kind has (RFC 8216, 4.3.4.1)."""
    taken: set[tuple[TrackKind, str]] = set()
    named = []
    for track in tracks:
        if track.state is TrackState.READY:
            track = replace(track, name=_free_name(track, taken))  # noqa: PLW2901 - the rest is the same
            taken.add((track.kind, track.name))
        named.append(track)
    return named


def _free_name(track: Track, taken: Container[tuple[TrackKind, str]]) -> str:
    name = track.name or _USUAL[track.kind]
    names = chain([name], (f"{name} {number}" for number in count(2)))
    return next(free for free in names if (track.kind, free) not in taken)


def _bounded(tracks: Sequence[Track]) -> tuple[Track, ...]:
    """Returns at most MAX_LISTED tracks, published ones in any case."""
    if len(tracks) <= MAX_LISTED:
        return tuple(tracks)
    by_importance = sorted(tracks, key=lambda track: track.state is not TrackState.READY)
    kept = {track.id for track in by_importance[: MAX_LISTED - 1]}
    rest = [track for track in tracks if track.id not in kept]
    more = Track(
        id="more",
        kind=rest[0].kind,
        state=TrackState.SKIPPED,
        name=f"{len(rest)} more tracks",
        error_code=TrackCode.TOO_MANY_TRACKS,
    )
    return (*(track for track in tracks if track.id in kept), more)
