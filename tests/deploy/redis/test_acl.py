"""The permissions that docs/how-to/redis.md gives the user are enough, and no part of them is idle."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from gostream_api.rates.writes import WriteRates
from gostream_devstack.host.directories import REPOSITORY
from gostream_devstack.servers.valkey import Valkey
from gostream_shared.cache.compose import open_cache
from gostream_shared.cache.protocol import Entry, Fill, Hit, Lease
from gostream_shared.cache.start import check_redis
from gostream_shared.config import Config, load
from gostream_shared.domain.encode import Encode, Progress
from tests.support.cache_fakes import FakeEpochs, FakeOutbox
from tests.support.servers.redis_topologies import (
    SENTINEL_PASSWORD,
    Nodes,
    Watched,
    make_redis_cluster,
    watched,
)
from tests.support.videos import make_video
from tests.support.waiting import eventually

__all__ = ["make_redis_cluster", "watched"]
pytestmark = pytest.mark.stack

PASSWORD = "a-password-of-the-test"
USER, SENTINEL_USER = (
    line.split()
    for line in re.findall(
        r"^ACL SETUSER .*$", (REPOSITORY / "docs/how-to/redis.md").read_text(), re.MULTILINE
    )
)
#: What only a cluster needs, and what takes permissions away.
_ELSEWHERE = ("+cluster|slots", "-@all", "-@dangerous")
GRANTS = [word for word in USER[5:] if word not in _ELSEWHERE]


def grant(server: Valkey, words: Sequence[str]) -> None:
    command = [f">{PASSWORD}" if word == ">PASSWORD" else word for word in words]
    assert server.execute(*command).startswith(b"+OK"), command
    server.execute("ACL", "LOG", "RESET")


def denied(server: Valkey) -> bytes:
    """Returns the commands that the server denied, empty if none."""
    said = server.execute("ACL", "LOG")
    return b"" if said.startswith(b"*0") else said


def config_of(url: str, database_url: str = "postgresql://x@127.0.0.1:1/x", **others: str) -> Config:
    login = {"REDIS_USERNAME": "gostream", "REDIS_PASSWORD": PASSWORD}
    return load(Config, {"DATABASE_URL": database_url, "REDIS_URL": url, **login, **others})


async def use_everything(config: Config) -> None:
    """Uses every function of Redis once. Raises TimeoutError or CacheUnavailableError if one fails."""
    await check_redis(config)
    ids = [make_video().id for _ in range(9)]
    async with (
        open_cache(config, outbox=FakeOutbox(), epochs=FakeEpochs(), subscribe=True) as cache,
        WriteRates.open(config, writes=2, creates=1) as rates,
    ):
        await eventually(lambda: cache.bus.is_live)
        leases = await cache.videos.get_or_lease_many(ids, [0] * len(ids))
        for video_id, lease in leases.items():
            assert isinstance(lease, Lease)
            entry = Entry(1, make_video(video_id, version=1), b"reply")
            await cache.videos.fill(video_id, Fill(lease.token, entry))
        assert isinstance(await cache.videos.get_or_lease(ids[0]), Hit)
        async with cache.events.subscribe(ids[0]) as events:
            await cache.announcer.announce(ids[0], 2)
            assert (await events.wait(30)).version == 2
            await cache.progress.publish(
                Encode(video_id=ids[0], number=1, attempt=1), Progress(stage="encoding")
            )
            assert (await events.wait(30)).progress
        await rates.require("owner", is_create=True)


@asynccontextmanager
async def using(config: Config) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(use_everything(config))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_documented_permissions_suffice(make_redis_server: Callable[..., Valkey]) -> None:
    server = await asyncio.to_thread(make_redis_server)
    grant(server, USER)

    await use_everything(config_of(f"redis://{server.host}:{server.port}/3"))

    assert denied(server) == b""


@pytest.mark.parametrize("word", GRANTS)
async def test_no_documented_permission_is_idle(make_redis_server: Callable[..., Valkey], word: str) -> None:
    server = await asyncio.to_thread(make_redis_server)
    grant(server, [each for each in USER if each != word])

    async with using(config_of(f"redis://{server.host}:{server.port}")) as task:
        await eventually(lambda: task.done() or denied(server))

    assert denied(server)


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "KEYS *", "CONFIG GET *", "SHUTDOWN", "GET other", "CLIENT KILL TYPE normal"]
)
def test_user_may_do_nothing_else(make_redis_server: Callable[..., Valkey], command: str) -> None:
    server = make_redis_server()
    grant(server, USER)
    server.execute("ACL", "SETUSER", "probe", "on", "nopass", *USER[5:])

    said = server.execute("AUTH probe any\r\n" + command)

    assert b"-NOPERM" in said


async def test_documented_permissions_suffice_for_a_cluster(
    make_redis_cluster: Callable[..., Nodes],
) -> None:
    nodes = await asyncio.to_thread(make_redis_cluster)
    for node in nodes.nodes:
        grant(node, USER)

    await use_everything(config_of(f"redis+cluster://{nodes.nodes[0].host}:{nodes.nodes[0].port}"))

    assert [denied(node) for node in nodes.nodes] == [b"", b"", b""]


async def test_documented_permissions_suffice_for_sentinels(watched: Watched) -> None:
    for server in watched.servers:
        grant(server, USER)
    for sentinel in watched.sentinels:
        grant(sentinel, SENTINEL_USER)
    hosts = ",".join(f"{each.host}:{each.port}" for each in watched.sentinels)
    own = {"REDIS_SENTINEL_USERNAME": "gostream", "REDIS_SENTINEL_PASSWORD": PASSWORD}

    await use_everything(config_of(f"redis+sentinel://{hosts}/gostream", **own))

    assert [denied(each) for each in (*watched.servers, *watched.sentinels)] == [b""] * 5
    assert SENTINEL_PASSWORD != PASSWORD
