"""The calls of TrackService."""

from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask

from gostream.v1.track_service_pb2 import (
    AddTrackRequest,
    AddTrackResponse,
    DeleteTrackRequest,
    ListTracksRequest,
    PrepareTrackRequest,
    UpdateTrackRequest,
)
from gostream.v1.video_pb2 import Track
from gostream_client import table
from gostream_client.errors import InvalidInputError
from gostream_client.table import Call


def add_track(
    video_id: str,
    *,
    language: str,
    name: str = "",
    is_default: bool = False,
    is_forced: bool = False,
    is_sdh: bool = False,
    source_url: str = "",
    size_bytes: int = 0,
    request_id: str = "",
    timeout: float | None = None,
) -> Call[AddTrackResponse]:
    """Adds subtitles to a video and returns the track with the request that uploads its file of `size_bytes`;
    upload_track() does both.

    `language`: BCP 47, such as "de". `name`: empty for that of the language. `source_url`: an https URL that
    the server fetches instead of an upload. `request_id`: made by the client unless given; the same one adds
    one track.
    """
    request = AddTrackRequest(
        video_id=video_id,
        kind=Track.KIND_SUBTITLES,
        language=language,
        name=name,
        is_default=is_default,
        is_forced=is_forced,
        is_sdh=is_sdh,
        source_url=source_url,
        size_bytes=size_bytes,
        request_id=request_id or str(uuid4()),
    )
    return Call(table.ADD_TRACK, request, timeout)


def prepare_track(video_id: str, track_id: str, *, timeout: float | None = None) -> Call[Track]:
    """Starts the preparation of a track whose file is uploaded. Returns the track."""
    return Call(table.PREPARE_TRACK, PrepareTrackRequest(video_id=video_id, id=track_id), timeout)


def update_track(
    video_id: str,
    track_id: str,
    *,
    language: str = "",
    name: str | None = None,
    is_default: bool | None = None,
    is_forced: bool | None = None,
    is_sdh: bool | None = None,
    timeout: float | None = None,
) -> Call[Track]:
    """Changes the fields of an added track that are given, and no others. Returns the track.

    An empty `name` becomes that of the language. Raises InvalidInputError if there is nothing to change.
    """
    given = {
        "language": language or None,
        "name": name,
        "is_default": is_default,
        "is_forced": is_forced,
        "is_sdh": is_sdh,
    }
    paths = [field for field, value in given.items() if value is not None]
    if not paths:
        raise InvalidInputError(f"nothing to change: give one of {', '.join(given)}")
    track = Track(
        id=track_id,
        language=language,
        name=name or "",
        is_default=bool(is_default),
        is_forced=bool(is_forced),
        is_sdh=bool(is_sdh),
    )
    request = UpdateTrackRequest(video_id=video_id, track=track, update_mask=FieldMask(paths=paths))
    return Call(table.UPDATE_TRACK, request, timeout)


def delete_track(video_id: str, track_id: str, *, timeout: float | None = None) -> Call[None]:
    """Removes an added track from the stream."""
    request = DeleteTrackRequest(video_id=video_id, id=track_id)
    return Call(table.DELETE_TRACK, request, timeout, lambda answer, trailers: None)


def list_tracks(video_id: str, *, timeout: float | None = None) -> Call[list[Track]]:
    """Returns the tracks of the published source, then the added ones, also those that are being prepared."""
    request = ListTracksRequest(video_id=video_id)
    return Call(table.LIST_TRACKS, request, timeout, lambda answer, trailers: list(answer.tracks))
