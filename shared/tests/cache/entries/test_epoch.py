"""The namespace epoch: the database's record of servers, and its use by a process."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gostream_shared.cache.entries.epoch import EpochKeeper, EpochState
from gostream_shared.cache.protocol import CacheUnavailableError
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import BackendUnavailableError
from tests.support.cache_fakes import FakeEpochs


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


@pytest.mark.stack
async def test_new_server_starts_an_epoch(
    database: PostgresDatabase,
) -> None:
    first = await database.epochs.current("a")
    assert first is not None
    assert await database.epochs.current("a") == first
    second = await database.epochs.current("b")
    assert second == first + 1
    assert await database.epochs.current("a") is None
    assert await database.epochs.current("b") == second


@pytest.mark.stack
async def test_server_returns_after_the_latest_is_gone(
    database: PostgresDatabase,
) -> None:
    await database.epochs.current("a")
    latest = await database.epochs.current("b")
    assert latest is not None
    await database.pool.execute("UPDATE cache_epochs SET seen_at = now() - interval '16 seconds'")
    assert await database.epochs.current("a") == latest + 1
    assert await database.epochs.current("b") is None


@pytest.mark.stack
async def test_server_in_use_is_recorded_as_seen(database: PostgresDatabase) -> None:
    await database.epochs.current("a")
    await database.pool.execute("UPDATE cache_epochs SET seen_at = now() - interval '1 hour'")
    await database.epochs.current("a")
    assert await database.pool.fetchval("SELECT max(seen_at) > now() - interval '1 minute' FROM cache_epochs")


@pytest.mark.stack
async def test_new_timeline_starts_above_any_lost_epoch(
    database: PostgresDatabase,
) -> None:  # R27
    async def on(timeline: int, server: str = "a") -> int:
        return int(await database.pool.fetchval("SELECT cache_epoch($1, $2)", server, timeline))

    before = [await on(1), await on(1, "b"), await on(1, "c")]
    await database.pool.execute(
        "DELETE FROM cache_epochs WHERE epoch > $1", before[0]
    )  # lost by the failover
    after = await on(2)
    assert after > max(before)
    assert await on(2) == after


@pytest.mark.stack
async def test_concurrent_processes_agree_on_one_epoch(database: PostgresDatabase, database_url: str) -> None:
    connections = [await asyncpg.connect(database_url) for _ in range(8)]
    try:
        epochs = await asyncio.gather(
            *(connection.fetchval("SELECT cache_epoch('new', 1)") for connection in connections)
        )
        assert len(set(epochs)) == 1
    finally:
        for connection in connections:
            await connection.close()


class Scene:
    """A keeper with a scripted server and database."""

    def __init__(self) -> None:
        self.reached: str | None = "a"
        self.reconnections = 0
        self.epochs = FakeEpochs()
        self.epoch_state = EpochState()
        self.changes = 0
        self.keeper = EpochKeeper(self.epoch_state, self.epochs, probe=self, changed=self.note_change)

    async def server(self) -> str:
        if self.reached is None:
            raise CacheUnavailableError("down")
        return self.reached

    async def reconnect(self) -> None:
        self.reconnections += 1

    def note_change(self) -> None:
        self.changes += 1


async def test_nothing_is_read_until_the_epoch_is_known() -> None:
    scene = Scene()
    with pytest.raises(CacheUnavailableError):
        _ = scene.epoch_state.epoch
    await scene.keeper.check()
    assert (scene.epoch_state.epoch, scene.changes) == (1, 1)
    await scene.keeper.check()
    assert scene.changes == 1


async def test_unknown_server_is_refused_until_registered() -> None:  # R12
    scene = Scene()
    await scene.keeper.check()
    assert scene.epoch_state.admits("a")
    assert not scene.epoch_state.admits("b")
    with pytest.raises(CacheUnavailableError):
        _ = scene.epoch_state.epoch
    scene.reached = "b"
    await scene.keeper.check()
    assert (scene.epoch_state.epoch, scene.changes) == (2, 2)


async def test_epoch_of_a_replaced_server_is_not_confirmed() -> None:
    scene = Scene()
    assert scene.epoch_state.admits("a")
    assert scene.epoch_state.admits("b"), "before the first check any server is accepted and recorded"
    assert not scene.epoch_state.confirm(1, "a")
    with pytest.raises(CacheUnavailableError):
        _ = scene.epoch_state.epoch
    await scene.keeper.check()
    assert scene.epoch_state.epoch == 1
    assert scene.reconnections == 1


async def test_server_of_another_epoch_is_not_read() -> None:
    scene = Scene()
    await scene.keeper.check()
    await scene.epochs.current("b")
    await scene.keeper.check()
    with pytest.raises(CacheUnavailableError):
        _ = scene.epoch_state.epoch


async def test_epoch_survives_a_database_but_no_redis_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    await scene.keeper.check()

    async def down(server: str) -> int | None:
        raise BackendUnavailableError("database")

    monkeypatch.setattr(scene.epochs, "current", down)
    await scene.keeper.check()
    assert scene.epoch_state.epoch == 1
    scene.reached = None
    await scene.keeper.check()
    with pytest.raises(CacheUnavailableError):
        _ = scene.epoch_state.epoch


def test_every_primary_of_the_cluster_is_admitted() -> None:
    state = EpochState()
    state.begin()
    assert state.admits("a")
    assert state.admits("b")

    assert state.confirm(7, "a,b,c")

    assert all(state.admits(each) for each in ("a", "b", "c"))
    assert not state.admits("b2")  # the replica of b
    assert not state.is_known


def test_connection_outside_the_cluster_forbids_the_epoch() -> None:
    state = EpochState()
    state.begin()
    state.admits("b2")

    assert not state.confirm(7, "a,b,c")
    assert not state.is_known
