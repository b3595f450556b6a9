"""Which host of a database URL is used: the primary, where it is."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from gostream_shared.concurrency import in_background
from gostream_shared.db.connecting.hosts import (
    HOST_TIMEOUT,
    NoPrimaryError,
    PrimaryHosts,
    StandbyError,
    connect,
)
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.listen import keep_listening
from gostream_shared.db.migrate import migrate, pending
from gostream_shared.domain.errors import BackendRefusedError, BackendUnavailableError
from gostream_shared.domain.repositories import NewVideo
from tests.support.servers.databases import Pair
from tests.support.waiting import eventually


def new_video() -> NewVideo:
    return NewVideo(id=uuid4(), user_id="ann", title="Holiday", content_type="video/mp4")


@pytest.mark.parametrize("standby_first", [True, False])
async def test_primary_is_found_in_any_order(pair: Pair, *, standby_first: bool) -> None:
    hosts = (pair.standby, pair.primary) if standby_first else (pair.primary, pair.standby)
    await migrate(pair.url_of(*hosts))

    async with PostgresDatabase.open(pair.url_of(*hosts)) as database:
        assert (await database.videos.create(new_video())).version == 1


async def test_standby_alone_is_refused_at_start(pair: Pair) -> None:
    url = pair.url_of(pair.standby)

    with pytest.raises(BackendRefusedError) as refused:
        async with PostgresDatabase.open(url):
            pass
    assert "is a standby, which accepts no writes; name the primary" in str(refused.value.cause)
    assert pair.primary.password not in str(refused.value.cause)
    for command in (migrate, pending):
        with pytest.raises(StandbyError, match="is a standby"):
            await command(url)


async def test_standby_is_not_listened_to(pair: Pair) -> None:
    url, connections = pair.url_of(pair.standby), list[None]()
    with capture_logs() as lines:
        async with in_background(
            keep_listening(
                url, "gostream_changes", notified=lambda _: None, connected=lambda: connections.append(None)
            )
        ):
            await eventually(lambda: lines)
    assert "is a standby" in lines[0]["error"]
    assert connections == []


async def test_hosts_without_a_primary_are_waited_for(pair: Pair) -> None:
    url = pair.url_of(pair.standby, pair.standby)

    with pytest.raises(BackendUnavailableError) as missed:
        async with PostgresDatabase.open(url):
            pass
    assert not isinstance(missed.value, BackendRefusedError)
    assert "no host is a primary" in str(missed.value.cause)
    with pytest.raises(NoPrimaryError):
        await connect(url)


async def test_host_that_answers_nothing_is_skipped(pair: Pair) -> None:
    """A frozen server accepts connections like a host behind a firewall that drops what it would answer."""
    hosts = PrimaryHosts(pair.url)
    pair.standby.pause()
    try:
        connection = await hosts.connect()
        assert connection.get_server_pid()
        connection.terminate()
    finally:
        pair.standby.resume()
    await eventually(pair.standby.ready)


@pytest.mark.slow
async def test_search_continues_where_it_was_given_up(pair: Pair) -> None:
    """Hosts that answer nothing may need more time than a caller has."""
    hosts = PrimaryHosts(pair.url_of(*[pair.standby] * 5, pair.primary))
    pair.standby.pause()
    tries = 0
    try:
        while True:
            tries += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(3 * HOST_TIMEOUT):
                    (await hosts.connect()).terminate()
                    break
    finally:
        pair.standby.resume()
    assert tries > 1
    await eventually(pair.standby.ready)


async def test_wrong_password_is_not_tried_elsewhere(pair: Pair) -> None:
    url = pair.url_of(pair.primary, pair.standby).replace(pair.primary.password, "wrong")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(url)
    with pytest.raises(BackendRefusedError):
        async with PostgresDatabase.open(url):
            pass


async def test_last_primary_is_tried_first(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, tried = PrimaryHosts(pair.url), list[str]()
    plain = asyncpg.connect

    async def seen(url: str, **options: Any) -> Any:
        tried.append(url)
        return await plain(url, **options)

    monkeypatch.setattr(asyncpg, "connect", seen)
    for _ in range(2):
        (await hosts.connect()).terminate()

    assert [f":{pair.primary.port}/" in url for url in tried] == [False, True, True]
