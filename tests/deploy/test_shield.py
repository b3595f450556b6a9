"""deploy/nginx/shield on the real nginx: several edges behind several shields."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import ClassVar, TypeVar

import pytest

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.nginx import Nginx
from gostream_devstack.servers.nginx import Origin as Address
from tests.deploy.edge import MASTER, PLAYLIST, SECRET, SEGMENT, ask, varied
from tests.deploy.origin import Origin

pytestmark = pytest.mark.stack

Kind = TypeVar("Kind", bound=Nginx)
ORIGIN_SECRET = "the.Edge+only"
PATHS = [f"/hls/v-1/v2/720p/seg_{number:05}.ts" for number in range(150)]


class Shield(Nginx):
    """A shield on its own address, and on 127.0.0.1 for the check of its readiness."""

    templates: ClassVar[str] = "deploy/nginx/shield"
    address = "127.0.0.1:0"

    def variables(self) -> Mapping[str, str]:
        return {**super().variables(), "EDGE_LISTEN": f"127.0.0.1:{self.port}; listen {self.address}"}


class Tier:
    """Shields in front of an origin, and the edges behind them."""

    def __init__(self, home: Directories, origin: Origin, started: ExitStack, shields: int = 3) -> None:
        self._home = home
        self._started = started
        self._ports = Ports({})
        self._address = Address(origin.endpoint_url, "videos", ORIGIN_SECRET)
        self._port = self._ports.pick("shields")
        self.shields = [self._shield(f"127.0.0.{number}") for number in range(11, 11 + shields)]

    def _shield(self, address: str) -> Shield:
        name = f"shield-{self._ports.pick(address)}"
        shield = Shield(self._home, self._ports.pick(name), self._address, "", name)
        shield.address = f"{address}:{self._port}"
        return self.run(shield)

    def edge(self) -> Nginx:
        name = f"edge-{self._ports.pick('unique')}"
        first, *others = [shield.address for shield in self.shields]
        kind = varied(EDGE_ORIGIN_OPTIONS="".join(f"; server {other}" for other in others))
        shields = Address(f"http://{first}", "videos", ORIGIN_SECRET)
        return self.run(kind(self._home, self._ports.pick(name), shields, SECRET, name))

    def run(self, server: Kind) -> Kind:
        self._started.callback(server.stop)
        server.start()
        return server


@pytest.fixture
def shield(home: Directories, origin: Origin) -> Iterator[Shield]:
    with ExitStack() as started:
        yield Tier(home, origin, started, shields=1).shields[0]


@pytest.fixture
def tier(home: Directories, origin: Origin) -> Iterator[Tier]:
    origin.objects |= {f"/videos{path}": path.encode() for path in PATHS}
    with ExitStack() as started:
        yield Tier(home, origin, started)


def _segments(edge: Nginx) -> set[int]:
    return {ask(edge, path).status for path in PATHS}


def test_edges_share_the_copies_of_shields(tier: Tier, origin: Origin) -> None:
    for number in range(3):
        # In another order each time: which shield has an object must follow from its key alone.
        assert {
            ask(edge, path).status for edge in [tier.edge()] for path in PATHS[number:] + PATHS[:number]
        } == {200}
    asked = [seen.target for seen in origin.seen]
    assert sorted(asked) == sorted(f"/videos{path}" for path in PATHS)


@pytest.mark.slow
def test_dead_shield_costs_only_its_share(tier: Tier, origin: Origin) -> None:
    _segments(tier.edge())
    tier.shields[1].stop()  # a killed master would leave its workers, which serve
    origin.seen.clear()
    assert _segments(tier.edge()) == {200}
    share = len(origin.seen)
    assert 0 < share < len(PATHS) * 2 / 3
    assert _segments(tier.edge()) == {200}
    assert len(origin.seen) == share


def test_refreshed_edge_gets_the_new_master(tier: Tier, origin: Origin) -> None:
    first, second = tier.edge(), tier.edge()
    old = ask(first, MASTER).body
    origin.objects[f"/videos{MASTER}"] = b"#EXTM3U\n#new\n"
    assert ask(second, MASTER).body == old
    for edge in (first, second):
        assert ask(edge, MASTER, X_Cache_Refresh=SECRET).cache == "BYPASS"
        assert ask(edge, MASTER).body == b"#EXTM3U\n#new\n"


@pytest.mark.slow
def test_closed_gate_closes_behind_shields(tier: Tier, origin: Origin) -> None:
    edge = tier.edge()
    assert ask(edge, SEGMENT).status == 200
    origin.open_gates.clear()
    deadline = time.monotonic() + 60
    while ask(edge, SEGMENT).status != 404:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("referer", ["", "guessed", ORIGIN_SECRET.lower(), f"{ORIGIN_SECRET}x"])
def test_shield_answers_only_edges(shield: Shield, origin: Origin, referer: str) -> None:
    for path in (SEGMENT, PLAYLIST, MASTER, "/gate/v-1/public"):
        assert ask(shield, f"/videos{path}", Referer=referer).status == 403
    assert not origin.seen


@pytest.mark.parametrize(
    "path",
    [
        "/videos/source/v-1",
        "/videos/hls/v-1/../../source/v-1.ts",
        "/videos/hls/v-1/%2e%2e/secret.ts",
        "/other/hls/v-1/master.m3u8",
        "/videos/",
        "/",
    ],
)
def test_shield_serves_only_streams(shield: Shield, origin: Origin, path: str) -> None:
    assert ask(shield, path, Referer=ORIGIN_SECRET).status == 404
    assert not origin.seen


def test_queries_do_not_reach_the_store(shield: Shield, origin: Origin) -> None:
    ask(shield, f"/videos{SEGMENT}?a=b", Referer=ORIGIN_SECRET)
    assert [seen.target for seen in origin.seen] == [f"/videos{SEGMENT}"]
