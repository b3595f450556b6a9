"""Decides how added tracks are published next to those of the source. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from gostream_shared.domain.companions.added_tracks import MOST_TEXTS, AddedState, AddedTrack
from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_worker.object_names import added_folder
from gostream_worker.plan.texts import Text
from gostream_worker.plan.track_names import language_name, unique_names
from gostream_worker.text.child import WHOLE_FILE

#: The largest index of an added text. Tracks of sources have larger ones.
_FIRST = -1000
_CAPTIONS_IN_PICTURE = "captions"


def embedded_texts(tracks: Sequence[Track]) -> list[Track]:
    """Returns the subtitles of the source that are published as renditions."""
    return [
        track
        for track in tracks
        if track.is_embedded
        and track.kind is TrackKind.SUBTITLES
        and track.state is TrackState.READY
        and track.id != _CAPTIONS_IN_PICTURE
    ]


def plan_added(added: Sequence[AddedTrack], tracks: Sequence[Track]) -> dict[UUID, Text]:
    """Returns how each READY track is published, oldest first, by its id.

    `tracks`: those of the source. Together with its subtitles at most MOST_TEXTS.
    """
    beside = embedded_texts(tracks)
    ready = [track for track in added if track.state is AddedState.READY]
    ready = ready[: max(0, MOST_TEXTS - len(beside))]
    taken_names = [track.name for track in beside]
    names = unique_names([*taken_names, *map(_name, ready)], usual="Subtitles")[len(beside) :]
    taken = {(track.language, track.is_forced, track.is_sdh) for track in beside}
    texts = {}
    for track, name in zip(ready, names, strict=True):
        choice = track.language, track.is_forced, track.is_sdh
        texts[track.id] = Text(
            index=_FIRST - track.number,
            codec=WHOLE_FILE,
            container="",
            folder=added_folder(track.id),
            name=name,
            language=track.language,
            is_default=track.is_default,
            is_forced=track.is_forced,
            is_sdh=track.is_sdh,
            autoselect=track.is_default or track.is_forced or choice not in taken,
        )
        taken.add(choice)
    return texts


def described(
    added: Sequence[AddedTrack],
    texts: Mapping[UUID, Text],
    paths: Mapping[UUID, str],
    reasons: Mapping[UUID, TrackCode],
) -> tuple[Track, ...]:
    """Returns what the publication says about added tracks: the published and the failed ones.

    `paths`: the WebVTT file of each published one; `reasons`: why others are not.
    """
    found = []
    for track in added:
        said = track.described(None)
        if track.id in paths:
            name = texts[track.id].name
            found.append(replace(said, state=TrackState.READY, name=name, path=paths[track.id]))
        elif track.state is AddedState.FAILED:
            found.append(said)
        elif track.state is AddedState.READY:
            code = reasons.get(track.id, TrackCode.TOO_MANY_TRACKS)
            found.append(replace(said, state=TrackState.FAILED, error_code=code))
    return tuple(found)


def _name(track: AddedTrack) -> str:
    """Returns the name without double quotes, which playlists cannot have."""
    if track.name:
        return track.name.replace('"', "'")
    what = "forced" if track.is_forced else "SDH" if track.is_sdh else ""
    name = language_name(track.language)
    return f"{name} ({what})" if what else name
