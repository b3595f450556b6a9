"""kill -9 of the fast door: the API's own port is unaffected, and the door can be restarted."""

import time
from collections.abc import Callable

import grpc
import psutil
import pytest

from gostream.v1.video_service_pb2 import CreateVideoRequest, GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.fast_door import Door

pytestmark = [pytest.mark.stack, pytest.mark.faults]


def read(address: str, video_id: str) -> str:
    """Returns the title; waits for the connection."""
    with grpc.insecure_channel(address) as channel:
        call = VideoServiceStub(channel).GetVideo
        title: str = call(GetVideoRequest(id=video_id), timeout=20, wait_for_ready=True).title
        return title


@pytest.mark.parametrize("victim", ["envoy", "its keeper"])
def test_killed_door_ends_completely_and_restarts(make_stack: Callable[..., Stack], victim: str) -> None:
    stack = make_stack(workers=0)
    door, api = stack.servers["envoy"], stack.apis[0].address
    if not isinstance(door, Door):
        pytest.skip("there is no fast door here")
    with grpc.insecure_channel(api) as channel:
        video_id = (
            VideoServiceStub(channel)
            .CreateVideo(CreateVideoRequest(title="kept", size_bytes=4), timeout=20)
            .video.id
        )
    keeper = psutil.Process(door.pid)
    [envoy] = keeper.children()

    (envoy if victim == "envoy" else keeper).kill()
    deadline = time.monotonic() + 20
    while door.alive or envoy.is_running():
        assert time.monotonic() < deadline, "one of the two outlives the other"
        time.sleep(0.05)
    assert read(api, video_id) == "kept"
    door.start()

    assert read(f"{door.host}:{door.port}", video_id) == "kept"
