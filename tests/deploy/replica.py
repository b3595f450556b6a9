"""A small VideoService for the JSON edge tests: records calls, drains, refuses."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from gostream.v1 import video_service_pb2 as messages
from gostream.v1.video_pb2 import Video

SERVICE = "gostream.v1.VideoService"


@dataclass
class Replica:
    """`refuse` makes reads fail with UNAVAILABLE; `finish` ends WatchVideo after its first message.

    ListVideos and BatchGetVideos return `listed`. `reads` is the server on its read port, itself by default.
    """

    calls: list[str] = field(default_factory=list)
    refuse: bool = False
    quiet: float = 30.0
    listed: list[Video] = field(default_factory=list)
    finish: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    reads: "Replica | None" = None
    _health: health.HealthServicer = field(default_factory=health.HealthServicer)

    @property
    def read_port(self) -> int:
        return self.reads.port if self.reads else self.port

    def get(self, request: messages.GetVideoRequest, context: grpc.ServicerContext) -> Video:
        self.calls.append(request.id)
        if self.refuse:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if request.id == "missing":
            context.abort_with_status(rpc_status.to_status(_not_found()))
        return Video(id=request.id, status=Video.STATUS_READY, version=7)

    def delete(self, request: messages.DeleteVideoRequest, context: grpc.ServicerContext) -> Empty:
        self.calls.append(request.id)
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    def create(
        self, request: messages.CreateVideoRequest, context: grpc.ServicerContext
    ) -> messages.CreateVideoResponse:
        self.calls.append("create")
        return messages.CreateVideoResponse(video=Video(id="new", title=request.title))

    def list(
        self, request: messages.ListVideosRequest, context: grpc.ServicerContext
    ) -> messages.ListVideosResponse:
        self.calls.append("list")
        return messages.ListVideosResponse(videos=self.listed)

    def batch(
        self, request: messages.BatchGetVideosRequest, context: grpc.ServicerContext
    ) -> messages.BatchGetVideosResponse:
        self.calls += request.ids
        return messages.BatchGetVideosResponse(videos=self.listed)

    def watch(self, request: messages.WatchVideoRequest, context: grpc.ServicerContext) -> Iterator[Video]:
        self.calls.append("watch")
        yield Video(id=request.id, version=1)
        self.finish.wait(self.quiet)
        yield Video(id=request.id, version=2)

    def drain(self) -> None:
        """Reports NOT_SERVING but still answers, as a stopping server does."""
        self._health.enter_graceful_shutdown()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Serves `replica` on a free port."""
        server = grpc.server(ThreadPoolExecutor(max_workers=8))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._handlers()),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield
        finally:
            self.finish.set()
            server.stop(grace=None).wait()

    def _handlers(self) -> dict[str, "grpc.RpcMethodHandler[Any, Any]"]:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        created = messages.CreateVideoResponse.SerializeToString
        listed = messages.ListVideosResponse.SerializeToString
        several = messages.BatchGetVideosResponse.SerializeToString
        return {
            "ListVideos": unary(self.list, messages.ListVideosRequest.FromString, listed),
            "BatchGetVideos": unary(self.batch, messages.BatchGetVideosRequest.FromString, several),
            "GetVideo": unary(self.get, messages.GetVideoRequest.FromString, Video.SerializeToString),
            "DeleteVideo": unary(
                self.delete, messages.DeleteVideoRequest.FromString, Empty.SerializeToString
            ),
            "CreateVideo": unary(self.create, messages.CreateVideoRequest.FromString, created),
            "WatchVideo": stream(self.watch, messages.WatchVideoRequest.FromString, Video.SerializeToString),
        }


def _not_found() -> status_pb2.Status:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="VIDEO_NOT_FOUND", domain="gostream"))
    return status_pb2.Status(code=code_pb2.NOT_FOUND, message="no such video", details=[detail])
