"""The calls of VideoService."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    BatchGetVideosRequest,
    CancelProcessRequest,
    CreateVideoRequest,
    CreateVideoResponse,
    DeleteVideoRequest,
    GetPlaybackInfoRequest,
    GetPlaybackInfoResponse,
    GetVideoRequest,
    ListVideosRequest,
    ListVideosResponse,
    RevokePlaybackRequest,
    TriggerProcessRequest,
    UndeleteVideoRequest,
    UpdateVideoRequest,
    WatchVideoRequest,
)
from gostream_client import table
from gostream_client.encoding import EncodeOptions, encode_options
from gostream_client.errors import InvalidInputError
from gostream_client.names import kind_number, policy_number, status_number
from gostream_client.rpc_errors import REQUEST_ID_KEY
from gostream_client.table import Call, Trailers


@dataclass(frozen=True, slots=True)
class Reply:
    """A video with the `x-cache` and `x-request-id` trailers of the reply."""

    video: Video
    x_cache: str
    request_id: str


def create_video(
    *,
    title: str,
    user_id: str = "",
    content_type: str = "",
    size_bytes: int = 0,
    policy: str = "",
    labels: Mapping[str, str] | None = None,
    external_id: str = "",
    source_url: str = "",
    source_key: str = "",
    profile: str = "",
    options: EncodeOptions | None = None,
    request_id: str = "",
    timeout: float | None = None,
) -> Call[CreateVideoResponse]:
    """Creates a video and returns it with the request that uploads its source; upload() does both.

    `policy`: "public", "signed", "off", or empty for the server's default. `external_id`: your own id, unique
    among your videos. `source_url`: an https URL that the server fetches, or `source_key`: an object of its
    bucket, instead of an upload; processing starts at once, with `profile` and `options`.
    `request_id`: made by the client unless given; with the same one, a repeated call returns the same video.
    """
    request = CreateVideoRequest(
        title=title,
        user_id=user_id,
        content_type=content_type,
        size_bytes=size_bytes,
        request_id=request_id or str(uuid4()),
        playback_policy=policy_number(policy),
        labels=labels,
        external_id=external_id,
        source_url=source_url,
        source_key=source_key,
        process=encode_options(profile, options) if profile or options else None,
    )
    return Call(table.CREATE_VIDEO, request, timeout)


def trigger_process(
    video_id: str,
    *,
    profile: str = "",
    options: EncodeOptions | None = None,
    request_id: str = "",
    timeout: float | None = None,
) -> Call[Video]:
    """Starts processing the uploaded source, or encodes the video again. Returns the video.

    `profile`: empty for the default. `options`: a clip, the poster, downloads, the loudness. `request_id`:
    made by the client unless given; the same one starts at most one encode.
    """
    asked = encode_options(profile, options)
    request = TriggerProcessRequest(id=video_id, request_id=request_id or str(uuid4()), options=asked)
    return Call(table.TRIGGER_PROCESS, request, timeout)


def cancel_process(video_id: str, *, timeout: float | None = None) -> Call[Video]:
    """Cancels the processing. Returns the video."""
    return Call(table.CANCEL_PROCESS, CancelProcessRequest(id=video_id), timeout)


def get_video(video_id: str, *, min_version: int = 0, timeout: float | None = None) -> Call[Video]:
    """Returns the video, at least at `min_version`: pass the version that a write returned to read that
    write.
    """
    return Call(table.GET_VIDEO, GetVideoRequest(id=video_id, min_version=min_version), timeout)


def get_video_reply(video_id: str, *, min_version: int = 0, timeout: float | None = None) -> Call[Reply]:
    """As get_video, with the cache layer of the reply and its request id."""
    return Call(table.GET_VIDEO, GetVideoRequest(id=video_id, min_version=min_version), timeout, _reply)


def batch_get_videos(video_ids: Sequence[str], *, timeout: float | None = None) -> Call[list[Video]]:
    """Returns up to 100 videos in the order of the ids.

    Raises VideoNotFoundError if any is missing; `metadata["video_ids"]` lists the missing ones.
    """
    request = BatchGetVideosRequest(ids=several("video_ids", video_ids))
    return Call(table.BATCH_GET_VIDEOS, request, timeout, lambda answer, trailers: list(answer.videos))


def list_videos_page(
    *,
    user_id: str = "",
    status: str = "",
    external_id: str = "",
    labels: Sequence[str] = (),
    title: str = "",
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    show_deleted: bool = False,
    media_kind: str = "",
    page_size: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> Call[ListVideosResponse]:
    """Returns one page of videos, newest first, with the token of the next page. All filters must match.

    `status`: such as "ready" or "pending-upload"; empty for all. `labels`: each "key=value", or "key" for any
    value. `title`: words that the title contains. `created_after`: that time or later, `created_before`:
    earlier; both need a time zone. `show_deleted`: also the videos that undelete_video() restores.
    `media_kind`: "video" or "audio", of the published encode. `page_size`: at most 1000; 0 for 50.
    """
    request = ListVideosRequest(
        user_id=user_id,
        status=status_number(status),
        external_id=external_id,
        labels=several("labels", labels),
        title=title,
        created_after=moment("created_after", created_after),
        created_before=moment("created_before", created_before),
        show_deleted=show_deleted,
        media_kind=kind_number(media_kind),
        page_size=page_size,
        page_token=page_token,
    )
    return Call(table.LIST_VIDEOS, request, timeout)


def delete_video(
    video_id: str, *, etag: str = "", permanent: bool = False, timeout: float | None = None
) -> Call[None]:
    """Deletes the video; with `etag`, only if it has not changed since the etag was read.

    `permanent`: undelete_video() cannot restore it. Also for a video that is deleted already.
    """
    request = DeleteVideoRequest(id=video_id, etag=etag, permanent=permanent)
    return Call(table.DELETE_VIDEO, request, timeout, lambda answer, trailers: None)


def undelete_video(video_id: str, *, etag: str = "", timeout: float | None = None) -> Call[Video]:
    """Takes a deletion back while the server keeps the video. Returns the video."""
    return Call(table.UNDELETE_VIDEO, UndeleteVideoRequest(id=video_id, etag=etag), timeout)


def update_video(
    video_id: str,
    *,
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
    external_id: str | None = None,
    expire_time: datetime | Literal["never"] | None = None,
    policy: str = "",
    etag: str = "",
    timeout: float | None = None,
) -> Call[Video]:
    """Changes the fields that are given, and no others. Returns the video.

    `labels` replaces all labels. An empty `external_id` removes it. `expire_time`: when the video is deleted,
    with a time zone; "never" removes the date. `policy`: who may play the video: "public", "signed" or "off".
    With `etag`, only if the video has not changed since the etag was read. Raises InvalidInputError if there
    is nothing to change.
    """
    until = None if expire_time == "never" else moment("expire_time", expire_time)
    given = {
        "title": title,
        "labels": labels,
        "external_id": external_id,
        "expire_time": expire_time,
        "playback_policy": policy or None,
    }
    paths = [name for name, value in given.items() if value is not None]
    if not paths:
        raise InvalidInputError("nothing to change: give title, labels, external_id, expire_time or policy")
    video = Video(
        id=video_id,
        title=title or "",
        labels=labels,
        external_id=external_id or "",
        expire_time=until,
        playback_policy=policy_number(policy),
    )
    request = UpdateVideoRequest(video=video, update_mask=FieldMask(paths=paths), etag=etag)
    return Call(table.UPDATE_VIDEO, request, timeout)


def get_playback_info(
    video_id: str, *, ttl: timedelta | None = None, timeout: float | None = None
) -> Call[GetPlaybackInfoResponse]:
    """Returns the URLs that play the video, signed if its policy asks for it.

    `ttl`: the validity of signed URLs; None for the server's default.
    """
    request = GetPlaybackInfoRequest(id=video_id)
    if ttl is not None:
        request.ttl.FromTimedelta(ttl)
    return Call(table.GET_PLAYBACK_INFO, request, timeout)


def revoke_playback(video_id: str, *, timeout: float | None = None) -> Call[Video]:
    """Ends all signed URLs of the video. Returns the video."""
    return Call(table.REVOKE_PLAYBACK, RevokePlaybackRequest(id=video_id), timeout)


def watch_video(video_id: str, *, timeout: float | None = None) -> Call[Video]:
    """One stream of states."""
    return Call(table.WATCH_VIDEO, WatchVideoRequest(id=video_id), timeout)


def next_page(call: Call[ListVideosResponse], page: ListVideosResponse) -> Call[ListVideosResponse] | None:
    """Returns the call for the page after `page`; None after the last one."""
    if not page.next_page_token:
        return None
    request = ListVideosRequest()
    request.CopyFrom(call.request)
    request.page_token = page.next_page_token
    return replace(call, request=request)


def several(name: str, values: Sequence[str]) -> Sequence[str]:
    """Returns the values. Raises InvalidInputError for one text, which would be sent letter by letter."""
    if isinstance(values, str):
        raise InvalidInputError(f"{name} must be a list of texts, not one text")
    return values


def moment(name: str, given: datetime | None) -> Timestamp | None:
    """Returns the time as the server takes it.

    Raises InvalidInputError for a time without a zone, which has two readings: local time and UTC.
    """
    if given is None:
        return None
    if given.utcoffset() is None:
        raise InvalidInputError(f"{name} needs a time zone, such as datetime.UTC")
    found = Timestamp()
    try:
        found.FromDatetime(given.astimezone(UTC))
    except OverflowError:
        raise InvalidInputError(f"{name} must be between the years 1 and 9999") from None
    return found


def _reply(video: Video, trailers: Trailers) -> Reply:
    return Reply(video, str(trailers.get("x-cache", "")), str(trailers.get(REQUEST_ID_KEY, "")))
