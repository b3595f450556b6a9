"""The two doors of an API, and the requests that the tests send to both."""

from dataclasses import dataclass
from typing import Any

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from tests.contract.raw_grpc import Reply, Request, call, frame

UNKNOWN = "01890000-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Ports:
    """The ports to which an Envoy sends calls."""

    port: int
    read_port: int


@dataclass(frozen=True)
class Doors:
    """The addresses of both doors, and of an Envoy for each; L1 has the videos `ids`."""

    reference: str
    reads: str
    reference_edge: str
    edge: str
    ids: list[str]

    def both(self, request: Request) -> tuple[Reply, Reply]:
        return call(self.reference, request), call(self.reads, request)


def get(video_id: str, min_version: int = 0, **options: Any) -> Request:
    message = GetVideoRequest(id=video_id, min_version=min_version).SerializeToString()
    return Request(frame(message), **options)


def batch(*ids: str, **options: Any) -> Request:
    return Request(frame(BatchGetVideosRequest(ids=ids).SerializeToString()), "BatchGetVideos", **options)
