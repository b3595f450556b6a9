"""Gates follow the rows of videos, on a real database and object store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.migrate import migrations
from gostream_shared.domain.encode import Encode
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import gate_key, gate_prefix
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import NewVideo, VideoChanges
from gostream_shared.domain.video import Failure
from gostream_shared.storage.gates import LAG, Gates, open_gate
from gostream_shared.storage.port import ObjectStore
from gostream_worker.jobs.gate_keeper import GateKeeper
from gostream_worker.metrics import GATES_WAITING
from services.worker.tests.conftest import Worker

from .test_attempts import PUBLICATION

pytestmark = pytest.mark.stack
FAILURE = Failure(code="INTERNAL", message="It broke.", retryable=True, stage="encoding")
OFF, SIGNED = (
    VideoChanges(fields=frozenset({"playback_policy"}), playback_policy=each)
    for each in (PlaybackPolicy.OFF, PlaybackPolicy.SIGNED)
)


@pytest.fixture
def store(worker: Worker) -> ObjectStore:
    return worker.dependencies.store


@pytest.fixture
def keeper(database: PostgresDatabase, store: ObjectStore) -> GateKeeper:
    return GateKeeper(database.gates, Gates(database.gates, store))


async def gates(store: ObjectStore, video_id: UUID) -> set[str]:
    prefix = gate_prefix(video_id)
    return {found.key.removeprefix(prefix) async for found in store.list(prefix)}


async def created(database: PostgresDatabase, policy: PlaybackPolicy = PlaybackPolicy.PUBLIC) -> UUID:
    new = NewVideo(id=uuid4(), user_id="u", title="t", content_type="video/mp4", playback_policy=policy)
    return (await database.videos.create(new)).id


async def begun(database: PostgresDatabase, video_id: UUID) -> Encode:
    started = await database.encodes.start_encode(video_id, profile="default")
    assert started
    return await database.encodes.begin_attempt(video_id, started.number, worker="w")


async def published(database: PostgresDatabase, policy: PlaybackPolicy = PlaybackPolicy.PUBLIC) -> UUID:
    video_id = await created(database, policy)
    await database.encodes.mark_video_ready(await begun(database, video_id), PUBLICATION)
    return video_id


async def test_gate_exists_while_a_video_plays(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper
) -> None:
    video_id, seen = await created(database), []

    async def look() -> None:
        await keeper.keep()
        seen.append(await gates(store, video_id))

    await look()
    encode = await begun(database, video_id)
    await look()
    await database.encodes.mark_video_playable(encode)
    await look()
    await database.encodes.mark_video_failed(encode, FAILURE)
    await look()
    encode = await begun(database, video_id)
    await look()
    await database.encodes.mark_video_ready(encode, PUBLICATION)
    await look()
    await begun(database, video_id)
    await database.encodes.cancel(video_id)
    await look()

    early, failed_early, published_before = {"public"}, {"public"}, {"public"}
    assert seen == [set(), set(), early, failed_early, set(), {"public"}, published_before]


@pytest.mark.parametrize("change", ["delete", "off", "signed", "revoke"])
async def test_crash_after_the_commit_is_healed(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper, change: str
) -> None:
    """The writer dies before it changes a gate: only the row and the trigger's rows are there."""
    video_id = await published(
        database, PlaybackPolicy.SIGNED if change == "revoke" else PlaybackPolicy.PUBLIC
    )
    await keeper.keep()
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "delete": lambda: database.videos.delete(video_id),
        "off": lambda: database.videos.update(video_id, OFF),
        "signed": lambda: database.videos.update(video_id, SIGNED),
        "revoke": lambda: database.videos.revoke_playback(video_id),
    }
    await changes[change]()

    await keeper.keep()

    assert await gates(store, video_id) == ({"2"} if change in ("signed", "revoke") else set())
    assert await database.gates.due(9) == []


async def test_row_changed_in_psql_changes_the_gate(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper
) -> None:
    video_id = await published(database)
    await keeper.keep()
    await database.pool.execute("UPDATE videos SET playback_policy = 'OFF'")
    await keeper.keep()
    assert await gates(store, video_id) == set()


async def test_late_writer_is_corrected_a_minute_later(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper
) -> None:
    """A worker that was frozen writes the gate of a video after its deletion."""
    video_id = await published(database)
    video = await database.videos.get(video_id)
    await database.videos.delete(video_id)
    await keeper.keep()
    await open_gate(store, video)
    assert await database.gates.due(9) == []

    await database.pool.execute("UPDATE gate_changes SET due_at = due_at - interval '1 minute'")
    await keeper.keep()

    assert await gates(store, video_id) == set()


async def test_change_during_a_sync_is_not_lost(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper
) -> None:
    video_id = await published(database)
    async with database.gates.hold(video_id) as hold:
        assert hold is not None
        assert hold.gate == "public"
        await database.videos.update(video_id, OFF)
        await keeper.keep()
        assert await gates(store, video_id) == set(), "nobody else may change the gates now"
        await store.put(gate_key(video_id, hold.gate), b"", content_type="text/plain")

    await keeper.keep()
    assert await gates(store, video_id) == set()


async def test_outage_of_the_store_is_survived(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    video_id = await published(database)
    await keeper.keep()
    await database.videos.delete(video_id)

    async def fail(keys: Sequence[str]) -> None:
        raise BackendUnavailableError("object store")

    with monkeypatch.context() as outage:
        outage.setattr(store, "delete", fail)
        await keeper.keep()
    assert await gates(store, video_id) == {"public"}
    await keeper.keep()
    assert await gates(store, video_id) == set()


async def test_videos_of_before_get_their_gates(
    database: PostgresDatabase, store: ObjectStore, keeper: GateKeeper
) -> None:
    ready, deleted = await published(database), await published(database)
    await created(database)
    await database.videos.delete(deleted)
    await database.pool.execute("DELETE FROM gate_changes")
    backfill = migrations()["0008_playback.sql"].rpartition("INSERT INTO gate_changes")
    await database.pool.execute("INSERT INTO gate_changes" + backfill[2])

    await keeper.keep()
    assert (GATES_WAITING._value.get(), await gates(store, ready), await gates(store, deleted)) == (
        1,
        {"public"},
        set(),
    )


async def test_lag_is_measured(database: PostgresDatabase, keeper: GateKeeper) -> None:
    def count() -> float:
        [metric] = LAG.collect()
        return float(next(each.value for each in metric.samples if each.name.endswith("_count")))

    await published(database)
    before = count()
    await keeper.keep()
    await keeper.keep()
    assert count() == before + 1


async def test_many_keepers_agree(database: PostgresDatabase, store: ObjectStore) -> None:
    videos = [await published(database) for _ in range(10)]
    for video_id in videos[::2]:
        await database.videos.delete(video_id)
    keepers = [GateKeeper(database.gates, Gates(database.gates, store)) for _ in range(3)]
    async with asyncio.timeout(60):
        while await database.gates.due(9):
            with suppress(BackendUnavailableError):
                await asyncio.gather(*(keeper.keep() for keeper in keepers))
    found = [await gates(store, video_id) for video_id in videos]
    assert found == [set(), {"public"}] * 5
