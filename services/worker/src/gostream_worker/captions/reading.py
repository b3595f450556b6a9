"""Reads the files of added tracks in the jailed child."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from gostream_shared.domain.companions.added_tracks import MOST_BYTES, AddedTrack
from gostream_shared.domain.object_keys import track_key
from gostream_shared.domain.tracks import TrackCode
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore
from gostream_worker.text.child import WHOLE_FILE
from gostream_worker.text.reader import Read, TextFile, read_texts


async def read_added(
    store: ObjectStore, tracks: Sequence[AddedTrack], folder: Path, *, sandbox_required: bool
) -> dict[UUID, Read]:
    """Returns the cues of each track, or why it has none. Copies the files into `folder`.

    Raises BackendUnavailableError.
    """
    found: dict[UUID, Read] = {}
    files: dict[UUID, TextFile] = {}
    for track in tracks:
        code = await _copy(store, track, folder / _file(track))
        if code is not None:
            found[track.id] = code
        else:
            files[track.id] = TextFile(file=_file(track), codec=WHOLE_FILE, language=track.language)
    # One child for each: a file that ends its child must not take others with it.
    for track_id, file in files.items():
        (read,) = await read_texts([file], folder, sandbox_required=sandbox_required)
        found[track_id] = TrackCode.EMPTY_TRACK if read == () else read
    return found


def _file(track: AddedTrack) -> str:
    return f"{track.id}.subtitles"


async def _copy(store: ObjectStore, track: AddedTrack, path: Path) -> TrackCode | None:
    """Returns why there is no copy, None if there is one."""
    key = track_key(track.video_id, track.id)
    try:
        stored = await store.head(key)
        if stored.size > MOST_BYTES:
            return TrackCode.SUBTITLES_TOO_LARGE
        await store.download(key, path, etag=stored.etag)
    except ObjectNotFoundError:
        return TrackCode.SOURCE_GONE
    return None
