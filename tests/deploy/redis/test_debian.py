"""Redis 7.0 with its own TLS, and HAProxy as docs/how-to/redis.md configures it (`make check-redis`)."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from redis.exceptions import ConnectionError

from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.valkey import Valkey
from gostream_devstack.tls.certificates import Certificates
from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.cache.redis_connection import RedisConnection, open_servers
from gostream_shared.config import Config, load
from tests.deploy.redis.debian import HAPROXY, REDIS, HaProxy, TlsRedis, TlsSentinel, runs
from tests.deploy.redis.test_acl import PASSWORD, USER, denied, grant, use_everything
from tests.support.certificates import replace
from tests.support.servers.redis_topologies import form_cluster, node_options
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not runs(REDIS) or not runs(HAPROXY, "-v"), reason="needs make check-redis (Debian)"),
]


@pytest.fixture
def make_tls(
    _server_directories: Directories, _server_ports: Ports, certificates: Certificates
) -> Iterator[Callable[..., TlsRedis]]:
    """A function that returns a server of that kind, not started, which is stopped after the test."""
    servers: list[TlsRedis] = []

    def make(kind: type[TlsRedis] = TlsRedis, **options: str) -> TlsRedis:
        name = f"redis-{secrets.token_hex(4)}"
        ports = (_server_ports.pick(name), _server_ports.pick(f"{name}-plain"))
        lines = {key.replace("_", "-"): value for key, value in options.items()}
        servers.append(kind(_server_directories, ports, certificates, name, lines))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(make_tls: Callable[..., TlsRedis]) -> TlsRedis:
    server = make_tls()
    server.start()
    return server


def config_of(
    server: TlsRedis,
    authority: Path,
    host: str = "localhost",
    scheme: str = "rediss",
    path: str = "",
    **others: str,
) -> Config:
    return load(
        Config,
        {
            "DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
            "REDIS_URL": f"{scheme}://gostream:{PASSWORD}@{host}:{server.port}{path}",
            "REDIS_CA_FILE": str(authority),
            **others,
        },
    )


async def test_everything_works_by_tls_with_the_user(server: TlsRedis, certificates: Certificates) -> None:
    grant(server, USER)

    await use_everything(config_of(server, certificates.authority))

    assert denied(server) == b""


async def test_certificate_of_another_name_is_refused(server: TlsRedis, certificates: Certificates) -> None:
    grant(server, USER)

    # The certificate names localhost, 127.0.0.1 and ::1.
    async with open_servers(config_of(server, certificates.authority, host="127.0.0.2")) as servers:
        with pytest.raises(ConnectionError, match=r"CERTIFICATE_VERIFY_FAILED.*127\.0\.0\.2"):
            await servers.identity()


async def test_certificate_of_another_authority_is_refused(server: TlsRedis, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    replace(other, trustme.CA().cert_pem.bytes())

    async with open_servers(config_of(server, other)) as servers:
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await servers.identity()


async def test_plaintext_is_not_spoken_to_tls(server: TlsRedis, certificates: Certificates) -> None:
    async with open_servers(config_of(server, certificates.authority, scheme="redis")) as servers:
        with pytest.raises((ConnectionError, OSError)):
            async with asyncio.timeout(10):
                await servers.identity()


async def test_sentinels_and_primary_are_reached_by_tls(
    make_tls: Callable[..., TlsRedis], server: TlsRedis, certificates: Certificates
) -> None:
    grant(server, USER)
    sentinel = make_tls(TlsSentinel)
    assert isinstance(sentinel, TlsSentinel)
    sentinel.watch(server)
    await asyncio.to_thread(sentinel.start)
    login = {"REDIS_SENTINEL_PASSWORD": sentinel.password}

    await use_everything(
        config_of(sentinel, certificates.authority, scheme="rediss+sentinel", path="/gostream", **login)
    )

    assert b"connected_clients:0" not in server.execute("INFO", "clients")
    assert denied(server) == b""


async def test_every_node_is_reached_by_tls(
    make_tls: Callable[..., TlsRedis],
    _server_ports: Ports,  # noqa: PT019 - chooses the ports of the nodes' bus
    certificates: Certificates,
) -> None:
    nodes = [make_tls(tls_cluster="yes", **node_options(_server_ports)) for _ in range(3)]
    for node in nodes:
        await asyncio.to_thread(node.start)
    await asyncio.to_thread(form_cluster, nodes)
    for node in nodes:
        grant(node, USER)

    await use_everything(config_of(nodes[0], certificates.authority, scheme="rediss+cluster"))

    assert [denied(node) for node in nodes] == [b"", b"", b""]


@pytest.fixture
def proxied(
    make_redis_server: Callable[..., Valkey], _server_directories: Directories, _server_ports: Ports
) -> Iterator[tuple[HaProxy, Valkey, Valkey]]:
    """The documented proxy in front of a primary and its replica."""
    primary = make_redis_server()
    replica = make_redis_server(replicaof=f"{primary.host} {primary.port}")
    name = f"haproxy-{secrets.token_hex(4)}"
    port = _server_ports.pick(name)
    found = re.search(
        r"```text\n(defaults\n.*?)```", (REPOSITORY / "docs/how-to/redis.md").read_text(), re.DOTALL
    )
    assert found
    configuration = (
        found[1]
        .replace("bind :6379", f"bind 127.0.0.1:{port}")
        .replace("PASSWORD", primary.password)
        .replace("redis-1:6379", f"{primary.host}:{primary.port}")
        .replace("redis-2:6379", f"{replica.host}:{replica.port}")
    )
    proxy = HaProxy(_server_directories, port, configuration, name)
    proxy.start()
    yield proxy, primary, replica
    proxy.stop()


async def test_documented_proxy_leads_to_the_primary(proxied: tuple[HaProxy, Valkey, Valkey]) -> None:
    proxy, primary, replica = proxied
    url = f"redis://:{primary.password}@{proxy.host}:{proxy.port}"
    config = load(Config, {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": url})
    link = RedisConnection(open_servers(config), Breaker())

    async def written() -> bool:
        try:
            async with link.guarded("set", 1.0, probe=True):
                return bool(await link.client.set("key", "value"))
        except CacheUnavailableError:
            return False

    async with link.servers:
        await eventually(written)
        before = await link.server()
        await asyncio.to_thread(primary.kill)
        replica.execute("REPLICAOF", "NO", "ONE")
        await eventually(written)
        assert await link.server() != before
