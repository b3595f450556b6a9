"""A client of the GoStream API for asyncio and for threads: deadlines, retries, uploads and watches.

    from gostream_client import Client

    with Client("localhost:50051") as client:
        video = client.upload("holiday.mp4", title="Holiday")
        video = client.trigger_process(video.id)
        print(client.wait(video.id, min_version=video.version).playback_url)

AsyncClient has the same methods for asyncio. Every failure is a GoStreamError. Other names are private.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gostream_client.errors import (
    AlreadyProcessingError,
    BackendUnavailableError,
    DeadlineExceededError,
    EtagMismatchError,
    ExternalIdInUseError,
    FieldInvalidError,
    FieldViolation,
    GoStreamError,
    InternalError,
    InvalidInputError,
    NotProcessingError,
    PageTokenInvalidError,
    PlaintextTokenError,
    ProcessingFailedError,
    QueueFullError,
    QuotaExceededError,
    RateLimitedError,
    RequestIdReusedError,
    ResumeTokenExpiredError,
    ScopeMissingError,
    ServerStoppingError,
    SourceNotUploadedError,
    SourceTooLargeError,
    SourceUnreachableError,
    SourceUrlRefusedError,
    TokenInvalidError,
    TooManyRequestsError,
    TrackNotFoundError,
    UnreachableError,
    UploadClosedError,
    UploadError,
    UploadExpiredError,
    UploadIncompleteError,
    UrlExpiredError,
    VersionNotReachedError,
    VideoNotDeletedError,
    VideoNotFoundError,
    WebhookNotFoundError,
)

if TYPE_CHECKING:
    from gostream.v1.event_pb2 import Event
    from gostream.v1.video_pb2 import Track, Video
    from gostream_client.aio import AsyncClient
    from gostream_client.calls import Reply
    from gostream_client.connection.tls import Tls
    from gostream_client.connection.token import Token
    from gostream_client.encoding import EncodeOptions
    from gostream_client.names import kind_name, policy_name, status_name
    from gostream_client.near.cache import NearCounts
    from gostream_client.sync import Client
    from gostream_client.upload.events import UploadEvents
    from gostream_client.upload.source import SourceFile

#: Imported at the first use, so that the exceptions alone cost no import of gRPC.
_HOMES = {
    "AsyncClient": "gostream_client.aio",
    "Client": "gostream_client.sync",
    "EncodeOptions": "gostream_client.encoding",
    "Event": "gostream.v1.event_pb2",
    "Reply": "gostream_client.calls",
    "NearCounts": "gostream_client.near.cache",
    "SourceFile": "gostream_client.upload.source",
    "Tls": "gostream_client.connection.tls",
    "Token": "gostream_client.connection.token",
    "UploadEvents": "gostream_client.upload.events",
    "Track": "gostream.v1.video_pb2",
    "Video": "gostream.v1.video_pb2",
    "kind_name": "gostream_client.names",
    "policy_name": "gostream_client.names",
    "status_name": "gostream_client.names",
}

__all__ = [
    "AlreadyProcessingError",
    "AsyncClient",
    "BackendUnavailableError",
    "Client",
    "DeadlineExceededError",
    "EncodeOptions",
    "EtagMismatchError",
    "Event",
    "ExternalIdInUseError",
    "FieldInvalidError",
    "FieldViolation",
    "GoStreamError",
    "InternalError",
    "InvalidInputError",
    "NearCounts",
    "NotProcessingError",
    "PageTokenInvalidError",
    "PlaintextTokenError",
    "ProcessingFailedError",
    "QueueFullError",
    "QuotaExceededError",
    "RateLimitedError",
    "Reply",
    "RequestIdReusedError",
    "ResumeTokenExpiredError",
    "ScopeMissingError",
    "ServerStoppingError",
    "SourceFile",
    "SourceNotUploadedError",
    "SourceTooLargeError",
    "SourceUnreachableError",
    "SourceUrlRefusedError",
    "Tls",
    "Token",
    "TokenInvalidError",
    "TooManyRequestsError",
    "Track",
    "TrackNotFoundError",
    "UnreachableError",
    "UploadClosedError",
    "UploadError",
    "UploadEvents",
    "UploadExpiredError",
    "UploadIncompleteError",
    "UrlExpiredError",
    "VersionNotReachedError",
    "Video",
    "VideoNotDeletedError",
    "VideoNotFoundError",
    "WebhookNotFoundError",
    "kind_name",
    "policy_name",
    "status_name",
]


if not TYPE_CHECKING:  # type checkers would take any name for a known one

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
