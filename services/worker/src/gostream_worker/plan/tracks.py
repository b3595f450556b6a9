"""Lists what happens to each track of a source: published, or left out with a code. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_worker.media_units import CHANNELS
from gostream_worker.plan.sounds import Sound
from gostream_worker.plan.texts import MAX_TEXTS, Text, copy_container
from gostream_worker.plan.track_names import name_of
from gostream_worker.probe.model import Probe, SourceTrack
from gostream_worker.sandbox.allowlist import AUDIO_DECODERS

#: Entries of Video.tracks. The replies of the API are bounded by it.
MAX_LISTED = 100
#: ffmpeg's decoders of subtitles that are pictures.
_IMAGES = frozenset(
    {"pgssub", "hdmv_pgs_subtitle", "dvbsub", "dvb_subtitle", "dvdsub", "dvd_subtitle", "xsub"}
)
_CAPTIONS = Track(id="captions", kind=TrackKind.SUBTITLES, state=TrackState.READY, name="Captions")


def list_fates(probe: Probe, sounds: Sequence[Sound], texts: Sequence[Text]) -> tuple[Track, ...]:
    """Returns every track of the source besides the picture, in the source's order.

    Captions in the picture come first. At most MAX_LISTED: an entry at the end counts the others.
    """
    published = {sound.audio.index: sound for sound in sounds}
    read = {text.index: text for text in texts}
    further = {audio.index for audio in probe.further}
    tracks = []
    for track in probe.tracks:
        if track.index in published:
            tracks.append(_heard(track, published[track.index]))
        elif track.index in read:
            tracks.append(_read(track, read[track.index]))
        else:
            usable = track.index in further or _is_publishable_text(track, probe)
            # Without sounds or texts next to the film's own, an earlier attempt with them failed.
            unused = usable and (len(texts) < MAX_TEXTS if track.kind == "subtitles" else len(sounds) == 1)
            tracks.append(_left_out(track, _reason(track, is_usable=usable, is_unused=unused)))
    has_captions = probe.video is not None and probe.video.has_captions
    return _bounded([*([_CAPTIONS] if has_captions else []), *tracks])


def with_outcome(track: Track, code: TrackCode) -> Track:
    """Returns a track that was to be published, and is not."""
    state = TrackState.SKIPPED if code is TrackCode.EMPTY_TRACK else TrackState.FAILED
    return replace(track, state=state, error_code=code)


def id_of(index: int, kind: str) -> str:
    """Returns the id of a source's track; chapters have none of their own."""
    return kind if index < 0 else f"{kind}-{index}"


def _is_publishable_text(track: SourceTrack, probe: Probe) -> bool:
    return probe.video is not None and copy_container(track, probe.container) is not None


def _read(track: SourceTrack, text: Text) -> Track:
    return Track(
        id=id_of(track.index, track.kind),
        kind=TrackKind.SUBTITLES,
        state=TrackState.READY,
        language=text.language or "",
        name=text.name,
        is_forced=text.is_forced,
        is_sdh=text.is_sdh,
    )


def _heard(track: SourceTrack, sound: Sound) -> Track:
    return Track(
        id=id_of(track.index, track.kind),
        kind=TrackKind.AUDIO,
        state=TrackState.READY,
        language=track.language or "",
        name=sound.name,
        is_default=sound.is_default,
        channels=CHANNELS,
    )


def _left_out(track: SourceTrack, code: TrackCode) -> Track:
    is_text = track.kind == "subtitles"
    return Track(
        id=id_of(track.index, track.kind),
        kind=TrackKind[track.kind.upper()],
        state=TrackState.SKIPPED,
        language=track.language or "",
        name=name_of(track),
        is_forced=is_text and track.is_forced,
        is_sdh=is_text and track.is_sdh,
        channels=track.channels,
        error_code=code,
    )


def _reason(track: SourceTrack, *, is_usable: bool, is_unused: bool) -> TrackCode:
    """`is_usable`: it can be published; `is_unused`: it was, but an earlier attempt with it failed."""
    if track.kind == "chapters":
        return TrackCode.UNSUPPORTED_CHAPTERS
    if track.is_empty:
        return TrackCode.EMPTY_TRACK
    if track.kind == "video":
        return TrackCode.SECOND_PICTURE
    if track.kind == "subtitles":
        if is_usable:
            return TrackCode.UNREADABLE_SUBTITLES if is_unused else TrackCode.TOO_MANY_TRACKS
        return TrackCode.IMAGE_SUBTITLES if track.codec in _IMAGES else TrackCode.UNSUPPORTED_SUBTITLES
    if track.codec not in AUDIO_DECODERS:
        return TrackCode.UNSUPPORTED_AUDIO
    return TrackCode.UNREADABLE_AUDIO if is_unused and is_usable else TrackCode.TOO_MANY_TRACKS


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
