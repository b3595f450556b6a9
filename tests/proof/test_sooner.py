"""Rules that make answers fresher or cheaper than promised.

No history breaks a promise without them, so each has an example that must fail if the rule is removed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.local_cache import LocalCache
from gostream_api.reads.ports import Layer
from gostream_api.reads.read_through import Found, ReadThrough
from gostream_api.reads.singleflight import SingleFlight
from gostream_shared.cache.entries.redis_cache import CacheTimes
from gostream_shared.cache.outbox.announcer import RedisChangeAnnouncer
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError, Entry, Hit, Lease
from gostream_shared.domain.video import Video
from tests.proof.mutants import Patch, floor_as_known, reset_without_forget, run_whenever
from tests.support.script_model import ModelRedis
from tests.support.videos import make_video

ID = UUID(int=1)


class PausedReads:
    """Implements ReadThrough.read; reads wait for `gate`."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()

    async def read(self, video_id: UUID, *, refresh: bool = False) -> Found:
        self.begun += 1
        await self.gate.wait()
        return Found(Entry(1, make_video(video_id), b""), Layer.L2, shareable=True)


async def _ticks() -> None:
    """Runs callbacks that need no time."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _reset_detaches_loads_in_progress() -> None:
    reads: Any = PausedReads()
    bus: Any = SimpleNamespace(is_live=True)
    service = CachedVideoService(reads, LocalCache(live_until=lambda: inf), bus, owner_of=lambda _: "")
    callers = [asyncio.create_task(service.get_video(ANONYMOUS, ID))]
    await _ticks()
    service.reset()
    callers.append(asyncio.create_task(service.get_video(ANONYMOUS, ID)))
    await _ticks()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert reads.begun == 2


async def _min_version_missed_by_older_load_is_reloaded() -> None:
    flights, reads = SingleFlight[UUID, Found](), PausedReads()
    callers = [asyncio.create_task(flights.run(ID, lambda: reads.read(ID)))]
    await _ticks()
    callers.append(
        asyncio.create_task(
            flights.run_since(
                flights.mark, ID, lambda: reads.read(ID), lambda found: found.entry.version >= 2
            )
        )
    )
    await _ticks()
    reads.gate.set()
    await asyncio.gather(*callers)
    assert reads.begun == 2


async def _redis_is_not_trusted_without_outbox_state() -> None:
    now = 0.0
    unannounced = Unannounced(clock=lambda: now)
    unannounced.look({}, asked=now)
    now = 4.0
    try:
        unannounced.floor(ID)
    except CacheUnavailableError:
        return
    raise AssertionError("trusted")


async def _invalidation_releases_the_older_lease(
    without: frozenset[str] = frozenset(),
) -> None:
    redis = ModelRedis(lambda: 0.0, CacheTimes(), without)
    assert isinstance(redis.get_or_lease(ID, "early", epoch=1), Lease)
    redis.raise_floor(ID, 2)
    assert isinstance(redis.get_or_lease(ID, "late", epoch=1), Lease)


class OldRedis:
    """Implements VideoCache: holds version 1 and refuses INVALIDATE."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._meanwhile = meanwhile

    async def get_or_lease(self, video_id: UUID, *, min_version: int, refresh: bool) -> Hit | Lease:
        self._meanwhile()
        if min_version > 1:
            return Lease("token")
        return Hit(Entry(1, make_video(video_id)), fresh_for=60.0, cost=0.0)

    async def fill(self, video_id: UUID, fill: object) -> None:
        raise CacheUnavailableError("NOREPLICAS")

    async def invalidate(self, changes: object) -> None:
        raise CacheUnavailableError("NOREPLICAS")


class NewRows:
    """Implements VideoRows: the database has version 2."""

    async def get(self, video_id: UUID) -> Video:
        return replace(make_video(video_id), version=2)


def _trusting() -> Unannounced:
    """Returns an Unannounced that knows of no pending announcement."""
    unannounced = Unannounced(clock=lambda: 0.0)
    unannounced.look({}, asked=0.0)
    return unannounced


async def _reply_is_checked_against_newer_changes() -> None:
    unannounced = _trusting()
    redis: Any = OldRedis(lambda: unannounced.note(ID, 2))  # committed during the command
    rows: Any = NewRows()
    found = await ReadThrough(redis, rows, unannounced=unannounced, encode=lambda _: b"").read(ID)
    assert found.entry.version == 2


async def _refused_own_change_is_read_from_database() -> None:
    unannounced = _trusting()
    redis: Any = OldRedis()
    rows: Any = NewRows()
    outbox: Any = SimpleNamespace()  # not reached
    announcer = RedisChangeAnnouncer(redis, outbox, unannounced=unannounced, locally=lambda *_: None)
    await announcer.announce(ID, 2)
    found = await ReadThrough(redis, rows, unannounced=unannounced, encode=lambda _: b"").read(ID)
    assert found.entry.version == 2


Example = Callable[[], Awaitable[None]]
EXAMPLES: list[tuple[Example, Patch]] = [
    (_reset_detaches_loads_in_progress, (CachedVideoService, "reset", reset_without_forget)),
    (
        _min_version_missed_by_older_load_is_reloaded,
        (SingleFlight, "run_since", run_whenever),
    ),
    (_redis_is_not_trusted_without_outbox_state, (Unannounced, "floor", floor_as_known)),
    (
        _invalidation_releases_the_older_lease,
        (
            _invalidation_releases_the_older_lease,
            "__defaults__",
            (frozenset({"invalidate-lease"}),),
        ),
    ),
    (_reply_is_checked_against_newer_changes, (ReadThrough, "_demand", lambda *_: None)),
    (
        _refused_own_change_is_read_from_database,
        (Unannounced, "note", lambda *_: None),
    ),
]


@pytest.mark.parametrize(("example", "rule"), EXAMPLES, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize("removed", [False, True], ids=["holds", "removed"])
async def test_removing_each_rule_breaks_its_example(example: Example, rule: Patch, removed: bool) -> None:
    with (
        patch.object(*rule) if removed else nullcontext(),
        pytest.raises(AssertionError) if removed else nullcontext(),
    ):
        await example()
