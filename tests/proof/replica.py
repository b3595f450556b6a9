"""One process of the simulated world: the production code, composed as in both app.py."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from math import inf
from typing import Any
from uuid import UUID

from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.local_cache import LocalCache, LocalTimes
from gostream_api.reads.ports import Layer
from gostream_api.reads.read_through import ReadThrough
from gostream_shared.cache.bus.bus import Bus
from gostream_shared.cache.entries.epoch import EpochKeeper, EpochState
from gostream_shared.cache.outbox.announcer import RedisChangeAnnouncer
from gostream_shared.cache.outbox.relay import OutboxRelay
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.domain.errors import (
    BackendUnavailableError,
    VersionNotReachedError,
    VideoNotFoundError,
)
from gostream_shared.domain.video import Video
from tests.proof.loop import PROCESS
from tests.proof.world import SimDatabase, SimRedis, World

LOCAL_TIMES = LocalTimes(hard=60.0, negative=60.0)


class Replica:
    """One simulated process."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self._calm_since = world.loop.time()
        self._trouble = 0
        self._crashed = False
        self._context = copy_context()
        self._context.run(PROCESS.set, self)
        skew = 7.0 * number  # clocks differ between processes
        clock = lambda: world.loop.time() + skew  # noqa: E731
        database, epoch_state = SimDatabase(world), EpochState()
        self.epoch_state, self.redis = epoch_state, SimRedis(world, epoch_state)
        self.unannounced = Unannounced(clock=clock)
        self.bus = Bus(
            self.redis, unsequenced=lambda _: None, accepted=self.unannounced.accepted, clock=clock
        )
        self.local = LocalCache(live_until=lambda: self.bus.live_until, clock=clock, times=LOCAL_TIMES)
        reads = ReadThrough(self.redis, database, unannounced=self.unannounced, encode=_encode, clock=clock)
        self.service = CachedVideoService(reads, self.local, self.bus, owner_of=lambda _: "", clock=clock)
        self.bus.add(self.service)
        self.announcer = RedisChangeAnnouncer(
            self.redis, database, unannounced=self.unannounced, locally=self.bus.changed
        )
        keeper = EpochKeeper(epoch_state, database, probe=self.redis, changed=self.bus.epoch_changed)
        relay = OutboxRelay(
            database,
            self.redis,
            listener=database.wait,
            unannounced=self.unannounced,
            local=self.bus,
            is_elected=lambda: "election" not in world.without,
            clock=clock,
        )
        runners = [keeper.run(), self.bus._keep_listening(), self.bus._keep_beating()]
        if "relay" not in world.without:
            runners.append(relay.run())
        self._tasks = [world.loop.create_task(runner, context=self._context) for runner in runners]
        self._calls: list[asyncio.Task[Any]] = []

    def start(self, call: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Starts a call in this process, which freezes and dies with it."""
        task = self.world.loop.create_task(call, context=self._context.copy())
        self._calls.append(task)
        return task

    def trouble(self, begins: bool) -> None:
        """Records the begin or end of a bus fault, during which the bound of S2 is BOUND."""
        self._trouble += 1 if begins else -1
        self._calm_since = inf if self._trouble else self.world.loop.time()

    @property
    def calm_since(self) -> float:
        """End of the last bus fault or disconnection; infinity during one."""
        feed = self.redis.feed
        connected = (
            feed.acknowledged if feed is not None and feed in self.world.feeds and not feed.closed else inf
        )
        return max(self._calm_since, connected)

    def crash(self) -> None:
        self._crashed = True
        self.world.loop.thaw(self)
        for task in [*self._tasks, *self._calls]:
            task.cancel()

    @property
    def failure(self) -> BaseException | None:
        """The error that ended a background task, if any; a correct task never ends."""
        return next((task.exception() for task in self._tasks if task.done() and not task.cancelled()), None)

    async def read(self, client: dict[UUID, int], video_id: UUID, min_version: int) -> Layer | None:
        """Reads and checks. Returns the layer that served a video, or None."""
        if self._crashed:
            return None
        world = self.world
        begun, calm_since = world.loop.time(), self.calm_since
        known_since = world.known_since
        try:
            read = await self.service.get_video(ANONYMOUS, video_id, min_version=min_version)
        except BackendUnavailableError:
            return None
        except VersionNotReachedError:
            known = world.newest(video_id) >= min_version and not world.lag
            if known and min_version <= client.get(video_id, 0):
                world.checker.settled(video_id, 0, min_version, "S3: min_version refused")
            return None
        except VideoNotFoundError as error:
            version, title, layer = error.version, None, None
        else:
            version, title, layer = read.reply.version, read.reply.payload.decode(), read.layer
        lagging = world.lag > 0 and layer not in (Layer.L1, Layer.L2) and video_id in world.lagged
        world.checker.read(
            video_id,
            version,
            title,
            begun=begun,
            calm_since=max(calm_since, self.calm_since),
            known_since=max(known_since, world.known_since),
            min_version=min_version,
            excused=lagging,
        )
        client[video_id] = max(version, client.get(video_id, 0))
        return layer


def _encode(video: Video) -> bytes:
    return video.title.encode()
