"""L1: entries that may be served, entries that may be stored, and memory."""

import tracemalloc
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from gostream_api.reads.local_cache import LocalCache, LocalEntry, LocalTimes
from gostream_api.reads.ports import VideoReply

ID = uuid4()


@dataclass
class Scene:
    now: float = 100.0
    live_until: float = 1e9
    max_bytes: int = 2**20
    cache: LocalCache = field(init=False)

    def __post_init__(self) -> None:
        self.cache = LocalCache(
            live_until=lambda: self.live_until,
            clock=lambda: self.now,
            max_bytes=self.max_bytes,
            times=LocalTimes(hard=60, soft=0.5, negative=5, jitter=0),
        )

    def store(
        self,
        video_id: UUID = ID,
        version: int = 1,
        payload: bytes | None = b"reply",
        fresh_for: float = 0.0,
    ) -> bool:
        entry = LocalEntry(version, payload)
        return self.cache.store(video_id, self.cache.ticket(video_id), entry, fresh_for)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_serves_a_stored_entry_of_sufficient_version(scene: Scene) -> None:
    assert scene.store(version=3)
    entry = scene.cache.get(ID, 3)
    assert entry is not None
    assert (entry.version, entry.payload) == (3, b"reply")
    assert scene.cache.get(ID, 4) is None
    assert scene.cache.get(uuid4()) is None


def test_serves_nothing_while_the_bus_is_silent(scene: Scene) -> None:
    scene.store()
    scene.live_until = scene.now
    assert scene.cache.get(ID) is None
    scene.live_until = scene.now + 1
    assert scene.cache.get(ID) is not None


def test_batch_serves_the_same_entries_as_single_reads(scene: Scene) -> None:
    ids = [uuid4() for _ in range(4)]
    for video_id in ids[:2]:
        scene.store(video_id)
    scene.now += 59
    scene.store(ids[2], payload=None)
    for later, count in ((0, 3), (2, 1), (5, 0)):
        scene.now += later
        found = scene.cache.get_many([*ids, ids[0]])
        assert found == [scene.cache.get(video_id) for video_id in [*ids, ids[0]]]
        assert sum(entry is not None for entry in found[:4]) == count
    scene.store()
    scene.live_until = scene.now
    assert scene.cache.get_many([ID, *ids]) == [None] * 5


def test_batch_marks_its_entries_as_used() -> None:
    scene = Scene(max_bytes=100_000)
    scene.store(payload=b"hot")
    for _ in range(2000):
        scene.store(uuid4(), payload=b"x" * 600)
        assert scene.cache.get_many([ID]) != [None]


def test_stores_nothing_while_the_bus_is_silent(scene: Scene) -> None:
    scene.live_until = scene.now
    assert not scene.store()


def test_refuses_a_load_older_than_an_invalidation(scene: Scene) -> None:  # R2
    ticket = scene.cache.ticket(ID)
    scene.cache.invalidate(ID, 2)
    assert not scene.cache.store(ID, ticket, LocalEntry(1, b"old"))
    assert scene.cache.get(ID) is None


def test_refuses_a_load_older_than_a_reset(scene: Scene) -> None:
    ticket = scene.cache.ticket(ID)
    scene.cache.clear()
    assert not scene.cache.store(ID, ticket, LocalEntry(1, b"old"))


@pytest.mark.parametrize("versions", [(2, 5, 3), (5, 3, 2), (2, 3, 5, 5)])
def test_reordered_invalidations_drop_only_older_entries(scene: Scene, versions: tuple[int, ...]) -> None:
    scene.store(version=5)
    for version in versions:
        scene.cache.invalidate(ID, version)
    assert scene.cache.get(ID) is not None  # R6
    scene.cache.invalidate(ID, 6)
    assert scene.cache.get(ID) is None


def test_never_replaces_a_newer_entry(scene: Scene) -> None:
    scene.store(version=5)
    assert not scene.store(version=4)
    assert scene.cache.get(ID, 5) is not None


def test_requests_one_refresh_and_serves_until_expiry(scene: Scene) -> None:
    scene.store()
    entry = scene.cache.get(ID)
    assert entry is not None
    assert not scene.cache.wants_refresh(entry)
    scene.now += 31
    assert [scene.cache.wants_refresh(entry) for _ in range(2)] == [True, False]
    assert scene.cache.get(ID) is entry
    scene.now += 30
    assert scene.cache.get(ID) is None


def test_entry_is_reloaded_when_redis_ends_its_freshness(scene: Scene) -> None:
    scene.store(fresh_for=240)
    entry = scene.cache.get(ID)
    assert entry is not None
    scene.now += 239
    assert not scene.cache.wants_refresh(entry)
    scene.now += 2
    assert scene.cache.wants_refresh(entry)
    assert scene.cache.get(ID) is entry
    scene.now += 60  # Redis drops the entry 300 s after its load
    assert scene.cache.get(ID) is None


def test_entry_ending_in_redis_has_the_usual_life(scene: Scene) -> None:
    scene.store(fresh_for=2)
    entry = scene.cache.get(ID)
    assert entry is not None
    scene.now += 29
    assert not scene.cache.wants_refresh(entry)
    scene.now += 2
    assert scene.cache.wants_refresh(entry)


def test_missing_video_is_cached_briefly(scene: Scene) -> None:
    scene.store(version=0, payload=None)
    entry = scene.cache.get(ID)
    assert entry is not None
    assert entry.payload is None
    scene.now += 6
    assert scene.cache.get(ID) is None


def test_size_is_bounded_and_used_entries_stay() -> None:  # R29
    scene = Scene(max_bytes=100_000)
    scene.store(payload=b"hot" * 10)
    for _ in range(2000):
        scene.store(uuid4(), payload=b"x" * 600)
        assert scene.cache.bytes <= 100_000
        assert scene.cache.get(ID) is not None
    assert 90 <= len(scene.cache) <= 101
    scene.cache.clear()
    assert scene.cache.bytes == 0


def test_accounted_bytes_match_allocated_memory() -> None:
    tracemalloc.start()
    try:
        scene = Scene(max_bytes=4 * 2**20)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20_000):
            scene.store(uuid4(), payload=bytes(300 + number % 200))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1.25 * 4 * 2**20


def test_entry_larger_than_the_cache_is_not_kept() -> None:
    scene = Scene(max_bytes=1000)
    scene.store(uuid4(), payload=b"small")
    assert not scene.store(payload=bytes(2000))
    assert len(scene.cache) == 1


def reply_of(scene: Scene, video_id: UUID) -> VideoReply:
    entry = scene.cache.get(video_id)
    assert entry is not None
    assert entry.reply is not None
    return entry.reply


def test_json_is_counted_until_removal(scene: Scene) -> None:
    scene.store(payload=bytes(100))
    before = scene.cache.bytes
    reply = reply_of(scene, ID)
    scene.cache.keep_json(ID, reply, bytes(1000))
    scene.cache.keep_json(ID, reply, bytes(1000))

    assert reply.json == bytes(1000)
    assert scene.cache.bytes == before + 1000
    scene.cache.invalidate(ID, 2)
    assert scene.cache.bytes == 0


def test_json_of_replaced_reply_is_not_counted(scene: Scene) -> None:
    scene.store()
    old = reply_of(scene, ID)
    scene.store(version=2)
    before = scene.cache.bytes
    scene.cache.keep_json(ID, old, bytes(1000))

    assert scene.cache.bytes == before
    assert reply_of(scene, ID).json is None


def test_json_evicts_other_entries() -> None:
    scene = Scene(max_bytes=100_000)
    ids = [uuid4() for _ in range(100)]
    for video_id in ids:
        scene.store(video_id, payload=bytes(100))
    for video_id in ids[50:]:
        scene.cache.keep_json(video_id, reply_of(scene, video_id), bytes(1500))

    assert scene.cache.bytes <= 100_000
    assert scene.cache.get(ids[0]) is None
