"""The calls of both clients: the parameters, the request and the answer of each, written once.

Each function becomes a method of Client and of AsyncClient with the same parameters and docstring. `timeout`
is the deadline of the call in seconds, instead of the client's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import Parameter, signature
from typing import Any, get_args
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask

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
    ProcessOptions,
    RevokePlaybackRequest,
    TriggerProcessRequest,
    UndeleteVideoRequest,
    UpdateVideoRequest,
    WatchVideoRequest,
)
from gostream_client import table
from gostream_client.names import policy_number, status_number
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
    request_id: str = "",
    timeout: float | None = None,
) -> Call[CreateVideoResponse]:
    """Creates a video and returns it with the request that uploads its source; upload() does both.

    `policy`: "public", "signed", "off", or empty for the server's default. `request_id`: made by the client
    unless given; with the same one, a repeated call returns the same video.
    """
    request = CreateVideoRequest(
        title=title,
        user_id=user_id,
        content_type=content_type,
        size_bytes=size_bytes,
        request_id=request_id or str(uuid4()),
        playback_policy=policy_number(policy),
    )
    return Call(table.CREATE_VIDEO, request, timeout, _as_is)


def trigger_process(
    video_id: str, *, profile: str = "", request_id: str = "", timeout: float | None = None
) -> Call[Video]:
    """Starts processing the uploaded source, or encodes the video again. Returns the video.

    `profile`: empty for the default. `request_id`: made by the client unless given; the same one starts at
    most one encode.
    """
    request = TriggerProcessRequest(
        id=video_id, request_id=request_id or str(uuid4()), options=ProcessOptions(profile=profile)
    )
    return Call(table.TRIGGER_PROCESS, request, timeout, _as_is)


def cancel_process(video_id: str, *, timeout: float | None = None) -> Call[Video]:
    """Cancels the processing. Returns the video."""
    return Call(table.CANCEL_PROCESS, CancelProcessRequest(id=video_id), timeout, _as_is)


def get_video(video_id: str, *, min_version: int = 0, timeout: float | None = None) -> Call[Video]:
    """Returns the video, at least at `min_version`: pass the version that a write returned to read that
    write.
    """
    return Call(table.GET_VIDEO, GetVideoRequest(id=video_id, min_version=min_version), timeout, _as_is)


def get_video_reply(video_id: str, *, min_version: int = 0, timeout: float | None = None) -> Call[Reply]:
    """As get_video, with the cache layer of the reply and its request id."""
    return Call(table.GET_VIDEO, GetVideoRequest(id=video_id, min_version=min_version), timeout, _reply)


def batch_get_videos(video_ids: Sequence[str], *, timeout: float | None = None) -> Call[list[Video]]:
    """Returns up to 100 videos in the order of the ids.

    Raises VideoNotFoundError if any is missing; `metadata["video_ids"]` lists the missing ones.
    """
    request = BatchGetVideosRequest(ids=video_ids)
    return Call(table.BATCH_GET_VIDEOS, request, timeout, lambda answer, trailers: list(answer.videos))


def list_videos_page(
    *,
    user_id: str = "",
    status: str = "",
    page_size: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> Call[ListVideosResponse]:
    """Returns one page of videos, newest first, with the token of the next page.

    `status`: such as "ready" or "pending-upload"; empty for all. `page_size`: at most 1000; 0 for 50.
    """
    request = ListVideosRequest(
        user_id=user_id, status=status_number(status), page_size=page_size, page_token=page_token
    )
    return Call(table.LIST_VIDEOS, request, timeout, _as_is)


def delete_video(video_id: str, *, etag: str = "", timeout: float | None = None) -> Call[None]:
    """Deletes the video; with `etag`, only if it has not changed since the etag was read."""
    request = DeleteVideoRequest(id=video_id, etag=etag)
    return Call(table.DELETE_VIDEO, request, timeout, lambda answer, trailers: None)


def undelete_video(video_id: str, *, etag: str = "", timeout: float | None = None) -> Call[Video]:
    """Takes a deletion back while the server keeps the video. Returns the video."""
    return Call(table.UNDELETE_VIDEO, UndeleteVideoRequest(id=video_id, etag=etag), timeout, _as_is)


def update_video(video_id: str, *, policy: str, etag: str = "", timeout: float | None = None) -> Call[Video]:
    """Changes who may play the video: "public", "signed" or "off". Returns the video.

    With `etag`, only if the video has not changed since the etag was read.
    """
    video = Video(id=video_id, playback_policy=policy_number(policy))
    mask = FieldMask(paths=["playback_policy"])
    request = UpdateVideoRequest(video=video, update_mask=mask, etag=etag)
    return Call(table.UPDATE_VIDEO, request, timeout, _as_is)


def get_playback_info(
    video_id: str, *, ttl: timedelta | None = None, timeout: float | None = None
) -> Call[GetPlaybackInfoResponse]:
    """Returns the URLs that play the video, signed if its policy asks for it.

    `ttl`: the validity of signed URLs; None for the server's default.
    """
    request = GetPlaybackInfoRequest(id=video_id)
    if ttl is not None:
        request.ttl.FromTimedelta(ttl)
    return Call(table.GET_PLAYBACK_INFO, request, timeout, _as_is)


def revoke_playback(video_id: str, *, timeout: float | None = None) -> Call[Video]:
    """Ends all signed URLs of the video. Returns the video."""
    return Call(table.REVOKE_PLAYBACK, RevokePlaybackRequest(id=video_id), timeout, _as_is)


def watch_video(video_id: str, *, timeout: float | None = None) -> Call[Video]:
    """One stream of states."""
    return Call(table.WATCH_VIDEO, WatchVideoRequest(id=video_id), timeout, _as_is)


def next_page(call: Call[ListVideosResponse], page: ListVideosResponse) -> Call[ListVideosResponse] | None:
    """Returns the call for the page after `page`; None after the last one."""
    if not page.next_page_token:
        return None
    request = ListVideosRequest()
    request.CopyFrom(call.request)
    request.page_token = page.next_page_token
    return replace(call, request=request)


def describe(
    method: Any, call: Callable[..., Call[Any]], *, name: str = "", doc: str = "", answer: Any = None
) -> None:
    """Gives `method` of a client the name, the docstring and the signature of `call`, and its answer."""
    whole = signature(call)
    [own] = get_args(whole.return_annotation)
    method.__name__ = name or call.__name__
    method.__qualname__ = method.__name__
    method.__doc__ = doc or call.__doc__
    me = Parameter("self", Parameter.POSITIONAL_ONLY)
    method.__signature__ = whole.replace(
        parameters=[me, *whole.parameters.values()], return_annotation=answer or own
    )


def _as_is(answer: Any, trailers: Trailers) -> Any:
    return answer


def _reply(video: Video, trailers: Trailers) -> Reply:
    return Reply(video, str(trailers.get("x-cache", "")), str(trailers.get(REQUEST_ID_KEY, "")))
