"""The methods of the API: what each does to a video, its default deadline, and whether it is repeated.

Both clients and their service config follow this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gostream.v1 import (
    admin_service_pb2,
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_service_pb2,
    webhook_service_pb2,
)

Answer = TypeVar("Answer")
Trailers = Mapping[str, str | bytes]


class Kind(Enum):
    """The classes of methods, by what a repetition does."""

    #: Changes nothing. Repeated after UNAVAILABLE.
    READ = "read"
    #: Writes, and has a request_id, by which the server recognises a repetition. Repeated after UNAVAILABLE.
    WRITE_ONCE = "write once"
    #: Writes; a repetition changes and answers the same. Repeated after UNAVAILABLE.
    WRITE_AGAIN = "write again"
    #: Writes. Not repeated: the first try may have succeeded, and the answer to a repetition would not tell.
    WRITE = "write"
    #: A stream, opened again by watch(), wait() and watch_events().
    STREAM = "stream"


_VIDEO_SERVICE = video_service_pb2.DESCRIPTOR.services_by_name["VideoService"]
_UPLOAD_SERVICE = upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"]
_WEBHOOK_SERVICE = webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"]
_EVENT_SERVICE = event_service_pb2.DESCRIPTOR.services_by_name["EventService"]
_TRACK_SERVICE = track_service_pb2.DESCRIPTOR.services_by_name["TrackService"]
_ADMIN_SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC. `deadline`: the default in seconds, with all repetitions; None: no deadline."""

    path: str
    kind: Kind
    deadline: float | None
    request: type[Message]
    answer: type[Message]

    @property
    def is_repeated(self) -> bool:
        return self.kind in (Kind.READ, Kind.WRITE_ONCE, Kind.WRITE_AGAIN)


def as_is(answer: Any, trailers: Trailers) -> Any:
    """The answer of the server."""
    return answer


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A method with its request. `timeout`: seconds instead of the default. `result`: makes the client's
    answer; by default it is the server's.
    """

    method: Method
    request: Any
    timeout: float | None
    result: Callable[[Any, Trailers], Answer] = as_is


def _method(
    name: str, kind: Kind, deadline: float | None, service: ServiceDescriptor = _VIDEO_SERVICE
) -> Method:
    method = service.methods_by_name[name]
    return Method(
        f"/{service.full_name}/{name}",
        kind,
        deadline,
        GetMessageClass(method.input_type),
        GetMessageClass(method.output_type),
    )


# Deadlines are set per call: a timeout in the service config fires early and is not sent to the server.
CREATE_VIDEO = _method("CreateVideo", Kind.WRITE_ONCE, 10.0)
TRIGGER_PROCESS = _method("TriggerProcess", Kind.WRITE_ONCE, 10.0)
CANCEL_PROCESS = _method("CancelProcess", Kind.WRITE, 10.0)
GET_VIDEO = _method("GetVideo", Kind.READ, 2.0)
BATCH_GET_VIDEOS = _method("BatchGetVideos", Kind.READ, 2.0)
LIST_VIDEOS = _method("ListVideos", Kind.READ, 5.0)
DELETE_VIDEO = _method("DeleteVideo", Kind.WRITE, 10.0)
UNDELETE_VIDEO = _method("UndeleteVideo", Kind.WRITE, 10.0)
UPDATE_VIDEO = _method("UpdateVideo", Kind.WRITE, 10.0)
GET_PLAYBACK_INFO = _method("GetPlaybackInfo", Kind.READ, 2.0)
REVOKE_PLAYBACK = _method("RevokePlayback", Kind.WRITE, 10.0)
WATCH_VIDEO = _method("WatchVideo", Kind.STREAM, None)
CREATE_UPLOAD = _method("CreateUpload", Kind.WRITE_AGAIN, 10.0, _UPLOAD_SERVICE)
GET_UPLOAD = _method("GetUpload", Kind.READ, 10.0, _UPLOAD_SERVICE)
SIGN_PARTS = _method("SignParts", Kind.READ, 10.0, _UPLOAD_SERVICE)
#: Stores need time to join many parts.
COMPLETE_UPLOAD = _method("CompleteUpload", Kind.WRITE_AGAIN, 60.0, _UPLOAD_SERVICE)
ABORT_UPLOAD = _method("AbortUpload", Kind.WRITE_AGAIN, 10.0, _UPLOAD_SERVICE)
LIST_EVENTS = _method("ListEvents", Kind.READ, 10.0, _EVENT_SERVICE)
WATCH_EVENTS = _method("WatchEvents", Kind.STREAM, None, _EVENT_SERVICE)
CREATE_WEBHOOK = _method("CreateWebhook", Kind.WRITE, 10.0, _WEBHOOK_SERVICE)
GET_WEBHOOK = _method("GetWebhook", Kind.READ, 5.0, _WEBHOOK_SERVICE)
LIST_WEBHOOKS = _method("ListWebhooks", Kind.READ, 5.0, _WEBHOOK_SERVICE)
UPDATE_WEBHOOK = _method("UpdateWebhook", Kind.WRITE, 10.0, _WEBHOOK_SERVICE)
DELETE_WEBHOOK = _method("DeleteWebhook", Kind.WRITE, 10.0, _WEBHOOK_SERVICE)
ROTATE_WEBHOOK_SECRET = _method("RotateWebhookSecret", Kind.WRITE, 10.0, _WEBHOOK_SERVICE)
TEST_WEBHOOK = _method("TestWebhook", Kind.WRITE, 10.0, _WEBHOOK_SERVICE)
LIST_DELIVERIES = _method("ListDeliveries", Kind.READ, 5.0, _WEBHOOK_SERVICE)
REDELIVER = _method("Redeliver", Kind.WRITE, 30.0, _WEBHOOK_SERVICE)
ADD_TRACK = _method("AddTrack", Kind.WRITE_ONCE, 10.0, _TRACK_SERVICE)
PREPARE_TRACK = _method("PrepareTrack", Kind.WRITE_AGAIN, 10.0, _TRACK_SERVICE)
UPDATE_TRACK = _method("UpdateTrack", Kind.WRITE_AGAIN, 10.0, _TRACK_SERVICE)
DELETE_TRACK = _method("DeleteTrack", Kind.WRITE, 10.0, _TRACK_SERVICE)
LIST_TRACKS = _method("ListTracks", Kind.READ, 5.0, _TRACK_SERVICE)
#: The API asks every backend, each with a deadline.
EXPLAIN_VIDEO = _method("ExplainVideo", Kind.READ, 20.0, _ADMIN_SERVICE)

TABLE = (
    CREATE_VIDEO,
    TRIGGER_PROCESS,
    CANCEL_PROCESS,
    GET_VIDEO,
    BATCH_GET_VIDEOS,
    LIST_VIDEOS,
    DELETE_VIDEO,
    UNDELETE_VIDEO,
    UPDATE_VIDEO,
    GET_PLAYBACK_INFO,
    REVOKE_PLAYBACK,
    WATCH_VIDEO,
    CREATE_UPLOAD,
    GET_UPLOAD,
    SIGN_PARTS,
    COMPLETE_UPLOAD,
    ABORT_UPLOAD,
    LIST_EVENTS,
    WATCH_EVENTS,
    CREATE_WEBHOOK,
    GET_WEBHOOK,
    LIST_WEBHOOKS,
    UPDATE_WEBHOOK,
    DELETE_WEBHOOK,
    ROTATE_WEBHOOK_SECRET,
    TEST_WEBHOOK,
    LIST_DELIVERIES,
    REDELIVER,
    ADD_TRACK,
    PREPARE_TRACK,
    UPDATE_TRACK,
    DELETE_TRACK,
    LIST_TRACKS,
    EXPLAIN_VIDEO,
)
