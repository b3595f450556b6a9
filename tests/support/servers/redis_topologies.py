"""Redis as operators run it: a primary with a replica and three sentinels, and a cluster of three nodes."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from redis.crc import key_slot

from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.valkey import Sentinel, Valkey
from gostream_shared.cache.entries.redis_cache import SEQUENCE_KEY

#: Seconds without an answer after which sentinels call a server down.
DOWN_AFTER = 1.0
#: Milliseconds after which the nodes of a cluster call one of them down.
_NODE_TIMEOUT = 1000
_SLOTS = 16384
SENTINEL_PASSWORD = "watching-the-primary"


@dataclass
class Watched:
    """A primary, its replicas and the sentinels that watch them."""

    servers: list[Valkey]
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{each.host}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://:{self.servers[0].password}@{hosts}/gostream"

    @property
    def environment(self) -> dict[str, str]:
        return {"REDIS_URL": self.url, "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}

    def primary(self) -> Valkey | None:
        """Returns the living primary, if there is one."""
        alive = [each for each in self.servers if each.alive]
        return next((each for each in alive if b"role:master" in each.execute("INFO", "replication")), None)


@dataclass
class Nodes:
    """The nodes of a Redis Cluster: first the primaries, then a replica of each if there are any."""

    nodes: list[Valkey]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{each.host}:{each.port}" for each in self.nodes[:2])
        return f"redis+cluster://:{self.nodes[0].password}@{hosts}"

    @property
    def environment(self) -> dict[str, str]:
        return {"REDIS_URL": self.url}

    def owner(self, key: str = SEQUENCE_KEY) -> Valkey:
        """Returns the first owner of the key's slot, before any failover."""
        return self.nodes[key_slot(key.encode()) * 3 // _SLOTS]

    def is_whole(self) -> bool:
        """Whether every living node says that all slots are served, and knows the same nodes."""
        alive = [each for each in self.nodes if each.alive]
        return all(b"cluster_state:ok" in each.execute("CLUSTER", "INFO") for each in alive)


def _until(condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def watched(
    make_redis_server: Callable[..., Valkey], _server_directories: Directories, _server_ports: Ports
) -> Iterator[Watched]:
    """A primary, a replica and three sentinels with their own password."""
    primary = make_redis_server()
    replica = make_redis_server(replicaof=f"{primary.host} {primary.port}")
    found = Watched([primary, replica], [])
    with ExitStack() as stops:
        for _ in range(3):
            name = f"sentinel-{secrets.token_hex(4)}"
            port = _server_ports.pick(name)
            sentinel = Sentinel(
                _server_directories, port, SENTINEL_PASSWORD, primary, down_after=DOWN_AFTER, name=name
            )
            stops.callback(sentinel.stop)
            sentinel.start()
            found.sentinels.append(sentinel)
        _until(lambda: b"connected_slaves:1" in primary.execute("INFO", "replication"), "no replica")
        for each in found.sentinels:
            _until(lambda each=each: _sees_all(each), "the sentinels do not see each other")  # type: ignore[misc]
        yield found


def _sees_all(sentinel: Sentinel) -> bool:
    said = sentinel.execute("SENTINEL", "MASTER", "gostream").split(b"\r\n")
    facts = dict(zip(said[2::4], said[4::4], strict=False))
    return facts.get(b"num-slaves") == b"1" and facts.get(b"num-other-sentinels") == b"2"


@pytest.fixture
def make_redis_cluster(
    make_redis_server: Callable[..., Valkey], _server_ports: Ports
) -> Callable[..., Nodes]:
    """A function that starts a cluster of three primaries: `make_redis_cluster(replicas=True)`."""

    def make(*, replicas: bool = False) -> Nodes:
        nodes = [make_redis_server(**node_options(_server_ports)) for _ in range(6 if replicas else 3)]
        form_cluster(nodes)
        return Nodes(nodes)

    return make


def node_options(ports: Ports) -> dict[str, str]:
    """Returns the settings of a node; its bus listens on a free port."""
    return {
        "cluster_enabled": "yes",
        "cluster_port": str(ports.pick(f"cluster-{secrets.token_hex(4)}")),
        "cluster_node_timeout": str(_NODE_TIMEOUT),
        "cluster_replica_validity_factor": "0",
        "cluster_config_file": "nodes.conf",
    }


def form_cluster(nodes: Sequence[Valkey]) -> None:
    """Makes a cluster of running nodes: three primaries, then a replica of each if there are more."""
    primaries, replicas = nodes[:3], nodes[3:]
    for number, node in enumerate(primaries):
        first, last = (-(-_SLOTS * each // 3) for each in (number, number + 1))
        node.execute("CLUSTER", "ADDSLOTSRANGE", str(first), str(last - 1))
        node.execute("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    for node in nodes[1:]:
        bus = node.options["cluster-port"]
        nodes[0].execute("CLUSTER", "MEET", node.host, str(node.port), bus)
    _until(lambda: all(_knows(each, len(nodes)) for each in nodes), "the nodes do not know each other")
    for primary, replica in zip(primaries, replicas, strict=False):
        name = primary.execute("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        _until(lambda r=replica, n=name: b"+OK" in r.execute("CLUSTER", "REPLICATE", n), "no replica")  # type: ignore[misc]
        _until(
            lambda p=primary: b"state=online" in p.execute("INFO", "replication"),  # type: ignore[misc]
            "the replica has no copy",
        )
    _until(lambda: all(b"cluster_state:ok" in each.execute("CLUSTER", "INFO") for each in nodes), "not whole")


def _knows(node: Valkey, count: int) -> bool:
    return f"cluster_known_nodes:{count}".encode() in node.execute("CLUSTER", "INFO")
