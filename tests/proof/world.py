"""The simulated world of the production code: a network, a Redis, a database.

Everything that decides (CachedVideoService, LocalCache, SingleFlight, ReadThrough, Bus, Liveness, EpochState,
OutboxRelay, RedisChangeAnnouncer) is the production code; only I/O is replaced.
"""

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from gostream_shared.cache.entries.epoch import EpochState
from gostream_shared.cache.entries.redis_cache import CacheTimes
from gostream_shared.cache.protocol import (
    NEWEST,
    Beat,
    CacheUnavailableError,
    Fill,
    Filled,
    Hit,
    Lookup,
    Subscribed,
)
from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.video import Video
from tests.proof.checker import Checker
from tests.proof.feed import Feed
from tests.proof.loop import SeededLoop
from tests.proof.refusals import Refusing
from tests.support.cache_fakes import FakeEpochs
from tests.support.script_model import ModelRedis, RefusedError
from tests.support.videos import make_video

KEYS = tuple(UUID(int=number) for number in (1, 2, 4097))  # 1 and 4097 share a stripe of L1
_TEMPLATE = make_video(KEYS[0])
SOFT_TIMEOUT = 0.5


class World:
    """Shared state, its faults, and the network delays to it."""

    def __init__(self, loop: SeededLoop, seed: int, times: CacheTimes, without: frozenset[str]) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.luck = random.Random(f"refusals of {seed}")
        self.checker = Checker()
        self.times = times
        self.without = without
        self.server = "server-0"
        self.clock_skew = 1000.0
        self.redis = ModelRedis(self.server_clock, times, without)
        self.standby = self.redis_state()
        self.redis_up = True
        self.demoted = False  # INFO reports a replica; connections stay open
        self.rows: dict[UUID, list[Video | None]] = {key: [] for key in KEYS}  # None = deleted
        self.commits: dict[UUID, list[float]] = {key: [] for key in KEYS}
        self.outbox: list[tuple[UUID, int]] = []
        self.outbox_locked: set[int] = set()
        self.database_up = True
        self.known_since = 0.0  # end of the last database outage; infinity during one
        # In a Redis Cluster, time passes between the two steps of INVALIDATE.
        self.is_cluster = random.Random(f"servers of {seed}").random() < 0.35
        self.most = self.luck.choice((2000, 2000, 1))  # limit of distinct videos in one read of the outbox
        self.lag = 0.0  # of the database's read replica
        self.lagged: dict[UUID, float] = {}
        self.epochs = FakeEpochs()
        self.feeds: list[Feed] = []
        self.listeners: list[asyncio.Event] = []
        self.loads = 0
        self.rejected = 0

    def server_clock(self) -> float:
        return self.loop.time() + self.clock_skew

    def delay(self) -> float:
        """Delay of one message."""
        return self.random.choice((0.0, 0.0002, 0.001, 0.003, 0.02))

    async def hop(self) -> None:
        await asyncio.sleep(self.delay())

    # the database

    def newest(self, video_id: UUID) -> int:
        return len(self.rows[video_id])

    def commit(self, video_id: UUID, *, delete: bool = False) -> int:
        """Commits like a transaction with triggers: version and outbox row together."""
        version = self.newest(video_id) + 1
        title = f"{video_id.int}:{version}"
        video = None if delete else replace(_TEMPLATE, id=video_id, version=version, title=title)
        self.rows[video_id].append(video)
        self.commits[video_id].append(self.loop.time())
        self.outbox.append((video_id, version))
        self.checker.commit(video_id, version, None if delete else title)
        for listener in self.listeners:
            if self.luck.random() > 0.1:  # a broken connection loses notifications
                self.loop.call_later(self.delay(), listener.set)
        return version

    def snapshot(self, video_id: UUID) -> tuple[int, Video | None]:
        version = self.newest(video_id)
        if self.lag and self.random.random() < 0.5:
            version = sum(when <= self.loop.time() - self.lag for when in self.commits[video_id])
            self.lagged[video_id] = self.loop.time()
        return version, self.rows[video_id][version - 1] if version else None

    # Redis

    def redis_state(self) -> ModelRedis:
        """A copy, as on a replica."""
        return ModelRedis(
            self.server_clock,
            self.times,
            self.without,
            {video_id: copy.copy(key) for video_id, key in self.redis.keys.items()},
            self.redis.sequence,
            self.redis.beat_at,
        )

    def publish(self, text: str) -> None:
        for feed in self.feeds:
            feed.push(text)

    def cut_all(self) -> None:
        for feed in self.feeds:
            feed.cut()


class SimDatabase:
    """VideoRows, Outbox and Epochs over the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.rung = asyncio.Event()
        world.listeners.append(self.rung)

    async def _reach(self) -> None:
        await self._world.hop()
        if not self._world.database_up:
            raise BackendUnavailableError("database")

    async def get(self, video_id: UUID) -> Video:
        world = self._world
        await self._reach()
        world.loads += 1
        version, video = world.snapshot(video_id)
        await world.hop()
        if world.random.random() < 0.1:
            await asyncio.sleep(world.random.choice((0.05, 0.2, 0.6)))
        if video is None:
            raise VideoNotFoundError(video_id, version=version)
        return video

    async def get_many(self, video_ids: Sequence[UUID]) -> dict[UUID, Video]:
        found = {}
        await self._reach()
        for video_id in video_ids:
            _, video = self._world.snapshot(video_id)
            if video is not None:
                found[video_id] = video
        await self._world.hop()
        return found

    @asynccontextmanager
    async def claim(self, limit: int) -> AsyncIterator[Sequence[tuple[UUID, int]]]:
        await self._reach()
        world = self._world
        taken = [row for row in world.outbox if id(row) not in world.outbox_locked][:limit]
        locks = {id(row) for row in taken}
        world.outbox_locked |= locks
        try:
            latest: dict[UUID, int] = {}
            for video_id, version in taken:
                latest[video_id] = max(version, latest.get(video_id, 0))
            yield list(latest.items())
            await self._reach()
            world.outbox = [row for row in world.outbox if id(row) not in locks]
        finally:
            world.outbox_locked -= locks

    async def unsettled(self, limit: int) -> Mapping[UUID, int] | None:
        await self._reach()
        latest: dict[UUID, int] = {}
        for row in self._world.outbox:
            if "claimed-rows" in self._world.without and id(row) in self._world.outbox_locked:
                continue
            video_id, version = row
            latest[video_id] = max(version, latest.get(video_id, 0))
        await self._world.hop()
        return latest if len(latest) <= min(limit, self._world.most) else None

    async def wait(self, timeout: float) -> None:
        """Waits for a notification, like gostream_shared.cache.outbox.notify."""
        try:
            async with asyncio.timeout(timeout):
                await self.rung.wait()
        except TimeoutError:
            return
        self.rung.clear()

    async def settle(self, video_id: UUID, version: int) -> None:
        await self._reach()
        world = self._world
        world.outbox = [row for row in world.outbox if row[0] != video_id or row[1] > version]

    async def current(self, server: str) -> int | None:
        await self._reach()
        return await self._world.epochs.current(server)


Looked = TypeVar("Looked", Lookup, Hit | None)


class SimRedis:
    """VideoCache and BusTransport of one process: its connections to the world's Redis."""

    def __init__(self, world: World, epoch_state: EpochState) -> None:
        self._world = world
        self._epoch_state = epoch_state
        self._server: str | None = None  # the server of the pooled connections
        self._tokens = 0
        self.partitioned = False
        self.late = 0.0  # extra delay of replies
        self.refusing: Refusing | None = None  # for this process's user
        self.unconnectable_until = 0.0
        self.feed: Feed | None = None

    async def _reach(self) -> None:
        """Sends a command. After a silent reconnect, the epoch state must admit the server."""
        world = self._world
        await world.hop()
        if not world.redis_up or self.partitioned:
            raise CacheUnavailableError("Redis is down")
        if self._server != world.server and world.demoted:
            raise CacheUnavailableError("a replica")
        if self._server != world.server:
            self._server = None
            if not self._epoch_state.admits(world.server):
                raise CacheUnavailableError("another server")
            self._server = world.server

    def _run(self, *, video: bool = True) -> ModelRedis:
        """The server as seen by a script of this user. `video`: the script writes a video's key."""
        redis, refusing, luck = self._world.redis, self.refusing, self._world.luck
        redis.refusal = None
        if refusing is not None and refusing.strikes(luck):
            if refusing.keys and video:
                raise RefusedError("NOPERM: no access to the key")
            if not refusing.keys and not refusing.channel:
                redis.refusal = refusing.refusal
        return redis

    def _publish(self, text: str) -> None:
        if self.refusing is not None and self.refusing.channel and self.refusing.strikes(self._world.luck):
            raise RefusedError("NOPERM: no access to the channel")
        if "publish" not in self._world.without:
            self._world.publish(text)

    async def _reply(self) -> None:
        world = self._world
        served = world.server
        await world.hop()
        if self.late:
            await asyncio.sleep(self.late)
        elif world.random.random() < 0.05:
            await asyncio.sleep(world.random.choice((0.01, 0.1, 0.3)))
        if served != world.server or self.partitioned:
            raise CacheUnavailableError("reply lost")

    def _token(self) -> str:
        if "fresh-token" in self._world.without:
            return f"{id(self)}"
        self._tokens += 1
        return f"{id(self)}-{self._tokens}"

    async def get_or_lease(self, video_id: UUID, *, min_version: int = 0, refresh: bool = False) -> Lookup:
        if not refresh and min_version != NEWEST:
            hit = await self._command(video_id, lambda epoch: self._peek(video_id, epoch, min_version))
            if hit is not None:
                return hit
        return await self._command(
            video_id,
            lambda epoch: self._run().get_or_lease(
                video_id, self._token(), epoch=epoch, min_version=min_version, refresh=refresh
            ),
        )

    def _peek(self, video_id: UUID, epoch: int, min_version: int) -> Hit | None:
        return self._world.redis.peek(video_id, epoch=epoch, min_version=min_version)

    async def _command(self, video_id: UUID, run: Callable[[int], Looked]) -> Looked:
        """Runs a look-up on the server, with the delays of the network before and after."""
        epoch = self._epoch_state.epoch
        await self._reach()
        lookup = run(epoch)
        floor = self._world.checker.floor(video_id, self._world.loop.time())
        await self._reply()
        self._epoch_state.demand(epoch)
        if isinstance(lookup, Hit):
            self._world.checker.hit(floor, video_id, lookup.entry.version)
        return lookup

    async def get_or_lease_many(
        self, video_ids: Sequence[UUID], min_versions: Sequence[int]
    ) -> Mapping[UUID, Lookup]:
        return {
            video_id: await self.get_or_lease(video_id, min_version=min_version)
            for video_id, min_version in zip(video_ids, min_versions, strict=True)
        }

    async def fill(self, video_id: UUID, fill: Fill) -> Filled:
        await self._reach()
        times = self._world.times
        ttl = times.ttl if fill.entry.video is not None else times.negative_ttl
        filled = self._run().fill(video_id, fill.token, fill.entry, ttl=ttl, cost=fill.cost)
        self._world.rejected += filled is not Filled.OK
        await self._reply()
        return filled

    async def fill_many(self, fills: Mapping[UUID, Fill]) -> Mapping[UUID, Filled]:
        return {video_id: await self.fill(video_id, fill) for video_id, fill in fills.items()}

    async def invalidate(self, changes: Mapping[UUID, int]) -> None:
        world = self._world
        first, then = self._raise_floors, self._announce
        if "floor-first" in world.without:
            first, then = then, first
        await self._reach()
        try:
            first(changes)
        except RefusedError:
            if not world.is_cluster:
                then(changes)  # both are in one pipeline
            raise
        if world.is_cluster:
            await self._reach()
        then(changes)
        for video_id, version in changes.items():
            if version <= world.newest(video_id):
                world.checker.invalidated(world.loop.time(), video_id, version)
        await self._reply()

    def _raise_floors(self, changes: Mapping[UUID, int]) -> None:
        for video_id, version in changes.items():
            self._run().raise_floor(video_id, version)

    def _announce(self, changes: Mapping[UUID, int]) -> None:
        world = self._world
        for video_id, version in changes.items():
            sequence = self._run(video=False).announce()
            ms = round(world.server_clock() * 1000)
            self._publish(f"change|{sequence}|{ms}|{video_id}|{version}")

    def invalidate_now(self, video_id: UUID, version: int) -> None:
        """Runs both steps of INVALIDATE."""
        self._raise_floors({video_id: version})
        self._announce({video_id: version})

    async def reconnect(self) -> None:
        self._server = None

    async def server(self) -> str:
        await self._reach()
        server, demoted = self._world.server, self._world.demoted
        await self._reply()
        if demoted:
            raise CacheUnavailableError("a replica")
        return server

    async def beat(self, nonce: str, *, interval: float) -> Beat:
        server = await self.server()
        await self._reach()
        world = self._world
        ms = round(world.server_clock() * 1000)
        sequence = self._run(video=False).beat(interval)
        if sequence is not None:
            self._publish(f"beat|{sequence}|{ms}|{nonce}|{server}")
        await self._reply()
        return Beat(ms / 1000, server)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Feed]:
        world = self._world
        await world.hop()
        if not world.redis_up or world.loop.time() < self.unconnectable_until:
            raise CacheUnavailableError("cannot connect")
        feed = Feed(world)
        feed.push(Subscribed())
        world.feeds.append(feed)
        self.feed = feed
        try:
            yield feed
        finally:
            world.feeds.remove(feed)
