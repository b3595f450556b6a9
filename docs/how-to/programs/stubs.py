"""Uploads a video, processes it and follows its progress: python stubs.py FILE."""

import os
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    CreateVideoRequest,
    TriggerProcessRequest,
    Upload,
    WatchVideoRequest,
)
from gostream.v1.video_service_pb2_grpc import VideoServiceStub

ADDRESS = os.environ.get("GOSTREAM_API_ADDR", "localhost:50051")
OPTIONS = [
    ("grpc.service_config", Path("client/src/gostream_client/service_config.json").read_text()),
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 3000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def put(upload: Upload, source: Path) -> None:
    """Sends the file to the object store, with the headers of the upload and its exact length."""
    headers = {**upload.headers, "Content-Length": str(source.stat().st_size)}
    with source.open("rb") as body:
        request = urllib.request.Request(upload.url, body, headers, method=upload.method)
        urllib.request.urlopen(request).close()


def follow(videos: VideoServiceStub, video_id: str) -> Iterator[Video]:
    """Returns the states of a video until its processing ends. A replica that stops ends its watches."""
    while True:
        try:
            yield from videos.WatchVideo(WatchVideoRequest(id=video_id))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(1)
        else:
            return


def reason(error: grpc.RpcError) -> str:
    """Returns the stable reason of an error, for example VIDEO_NOT_FOUND."""
    info = ErrorInfo()
    status = rpc_status.from_call(error)
    found = status and any(detail.Unpack(info) for detail in status.details)
    return info.reason if found else error.code().name


def main(source: Path) -> None:
    with grpc.insecure_channel(ADDRESS, OPTIONS) as channel:
        videos = VideoServiceStub(channel)
        create = CreateVideoRequest(
            title=source.stem,
            content_type="video/mp4",
            size_bytes=source.stat().st_size,
            request_id=str(uuid.uuid4()),
        )
        created = videos.CreateVideo(create, timeout=10)
        put(created.upload, source)
        process = TriggerProcessRequest(id=created.video.id, request_id=str(uuid.uuid4()))
        video = videos.TriggerProcess(process, timeout=10)
        for state in follow(videos, created.video.id):
            video = state
            print(Video.Status.Name(video.status), video.processing.stage)
        print(video.playback_url or video.error.message)


try:
    main(Path(sys.argv[1]))
except grpc.RpcError as error:
    sys.exit(f"{reason(error)}: {error.details()}")
