"""JSON bodies as the transcoder of the JSON edge writes them: the contract's names, empty fields included."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import status_pb2

from gostream.v1.video_pb2 import Video
from gostream_api.rpc.errors import DETAILS, Failure

#: HTTP status by gRPC code.
HTTP_STATUSES: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}


def video_body(payload: bytes) -> bytes:
    """Returns the JSON of an encoded video. As in `payload`, labels are in the order of their keys."""
    fields = _fields(Video.FromString(payload))
    fields["labels"] = dict(sorted(fields["labels"].items()))
    return _encoded(fields)


def batch_body(videos: Iterable[bytes]) -> bytes:
    """Returns the JSON of BatchGetVideosResponse, from the JSON of its videos."""
    return b'{"videos":[%b]}' % b",".join(videos)


def failure_body(failure: Failure) -> bytes:
    """Returns the JSON of google.rpc.Status with its details."""
    status = next(value for name, value in failure.trailers if name == DETAILS and isinstance(value, bytes))
    return _encoded(_fields(status_pb2.Status.FromString(status)))


def refusal_body(code: grpc.StatusCode, message: str) -> bytes:
    """Returns the JSON of an error without details."""
    return _encoded({"code": code.value[0], "message": message})


def _fields(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
