"""Fixtures: edges and origins for the tests of deploy/nginx, Envoy for the JSON edge."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.envoy import Envoy
from gostream_devstack.servers.nginx import Nginx
from gostream_devstack.servers.nginx import Origin as Address
from tests.deploy.edge import MASTER, PLAYLIST, SECRET, SEGMENT
from tests.deploy.origin import Origin, serving
from tests.deploy.replica import Replica


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directories]:
    home = Directories.at(tmp_path_factory.mktemp("edge"))
    yield home
    home.remove()


@pytest.fixture
def make_edge(home: Directories) -> Iterator[Callable[..., Nginx]]:
    """Returns a function that starts an edge with an empty cache in front of `origin`."""
    ports = Ports({})
    with ExitStack() as started:

        def make(origin: Origin, kind: type[Nginx] = Nginx, secret: str = SECRET) -> Nginx:
            name = f"edge-{ports.pick('unique')}"
            edge = kind(
                home, ports.pick(name), Address(origin.endpoint_url, "videos", origin.secret), secret, name
            )
            started.callback(edge.stop)
            edge.start()
            return edge

        yield make


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin with a small stream, which counts requests."""
    objects = {
        MASTER: b"#EXTM3U\n" + b"#master\n" * 100,
        PLAYLIST: b"#EXTM3U\n" + b"#media\n" * 100,
        SEGMENT: bytes(range(256)) * 40,
    }
    origin = Origin({f"/videos{path}": body for path, body in objects.items()})
    with serving(origin):
        yield origin


@pytest.fixture
def edge(origin: Origin, make_edge: Callable[..., Nginx]) -> Nginx:
    return make_edge(origin)


@pytest.fixture
def start_json_edge(home: Directories) -> Iterator[Callable[..., Envoy]]:
    """Returns a function that starts the replicas and an Envoy in front of them."""
    with ExitStack() as running:

        def start(*replicas: Replica, kind: type[Envoy] = Envoy) -> Envoy:
            for replica in replicas:
                running.enter_context(replica.answering())
                if replica.reads:
                    running.enter_context(replica.reads.answering())
            ports = Ports({})
            envoy = kind(home, ports.pick("edge"), ports.pick("admin"), replicas)
            running.callback(envoy.stop)
            envoy.start()
            envoy.wait_for_apis()
            return envoy

        yield start


@pytest.fixture
def envoy(start_json_edge: Callable[..., Envoy]) -> Envoy:
    return start_json_edge(Replica())
