"""An API on the servers of the shared stack, with both of its doors."""

from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from gostream.v1.video_service_pb2 import CreateVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports as FreePorts
from gostream_devstack.instance.stack import Stack
from gostream_devstack.servers.api import Api
from gostream_devstack.servers.envoy import Envoy
from tests.contract.doors import UNKNOWN, Doors, Ports, get
from tests.contract.raw_grpc import call

#: Variables of the API under test; the tests of both doors run once with each set.
MODES: dict[str, dict[str, str]] = {"usual": {}, "short off": {"READ_DOOR_SHORT": "off"}}


@pytest.fixture(
    scope="module",
    params=["usual", *(pytest.param(mode, marks=pytest.mark.slow) for mode in MODES if mode != "usual")],
)
def api(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    home, ports = Directories.at(tmp_path_factory.mktemp("api")), FreePorts({})
    port, metrics_port, read_port = (ports.pick(name) for name in ("api", "metrics", "reads"))
    settings = {**stack.apis[0].settings, **MODES[request.param]}
    replica = Api(home, "api", port, metrics_port, settings, read_port)
    try:
        replica.start()
        yield replica
    finally:
        replica.stop()
        home.remove()


@pytest.fixture(scope="module")
def doors(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with grpc.insecure_channel(api.address) as channel:
        create = VideoServiceStub(channel).CreateVideo
        titles = ["Plain", "Ünïcödé ✓", "x" * 200, *(f"number {number}" for number in range(97))]
        ids = [create(CreateVideoRequest(title=title, size_bytes=4), timeout=60).video.id for title in titles]
    with ExitStack() as running:
        edges = []
        for name, read_port in (("reference", api.port), ("edge", api.read_port)):
            home, free = Directories.at(tmp_path_factory.mktemp(name)), FreePorts({})
            running.callback(home.remove)
            edge = Envoy(home, free.pick(name), free.pick("admin"), [Ports(api.port, read_port)])
            running.callback(edge.stop)
            edge.start()
            edge.wait_for_apis()
            edges.append(f"{edge.host}:{edge.port}")
        found = Doors(api.address, api.read_address, edges[0], edges[1], ids)
        _learn(found)
        yield found


def _learn(doors: Doors) -> None:
    """Loads all videos, and the absence of UNKNOWN, into L1."""
    for video_id in (*doors.ids, UNKNOWN):
        for _ in range(3):
            if call(doors.reference, get(video_id)).trailers.get(b"x-cache") == b"L1":
                break
