"""Simulates one history per seed: random operations and faults; every promise is checked.

python -m tests.proof --seed 17          replays one seed
python -m tests.proof --seeds 100000     the long run
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from uuid import UUID

from gostream_api.reads.ports import Layer
from gostream_shared.cache.entries.redis_cache import CacheTimes
from gostream_shared.cache.protocol import Subscribed
from tests.proof.checker import BOUND, Violation
from tests.proof.loop import SeededLoop
from tests.proof.operations import Operations, ended
from tests.proof.refusals import Refusing, choose
from tests.proof.replica import Replica
from tests.proof.world import KEYS, World
from tests.support.script_model import Refusal, RefusedError

OPERATIONS = 200
_FAULTS = (
    "cut", "reconnect", "half-open", "drop", "slow", "redis-down", "restart", "failover", "evict", "flush",
    "database-down", "crash", "abort", "repeat", "partition", "freeze", "lose", "forgotten",
)  # fmt: skip
#: Faults in which Redis answers reads and refuses writes: any class, all or some users, always or at times.
_REFUSALS = ("refuse", "refuse", "demote")


@dataclass(frozen=True, slots=True)
class Summary:
    """Result of a seed; equal seeds give equal results."""

    reads: int
    loads: int
    rejected: int
    digest: int


def simulate(seed: int, *, without: frozenset[str] = frozenset(), operations: int = OPERATIONS) -> Summary:
    """Runs one history. Raises Violation if a promise is broken, HungError if the history does not end.

    `without`: rules to remove from the model.
    """
    random.seed(seed)  # the production code's jitter
    loop = SeededLoop(seed)  # type: ignore[abstract]  # implements only the used methods
    scene = random.Random(seed)
    lagging = scene.random() < 0.15
    refusing = not lagging and scene.random() < 0.35
    times = (
        CacheTimes(ttl=60, negative_ttl=60, lease=0.3)
        if lagging or refusing  # stale entries last until their invalidation
        else CacheTimes(ttl=2.0, negative_ttl=0.5, lease=0.3, tombstone=5.0)
    )
    world = World(loop, seed, times, without)
    story = _Story(world, scene, lagging, refusing)
    try:
        loop.run_until_complete(story.tell(operations))
    except Exception as error:
        error.add_note(f"replay: python -m tests.proof --seed {seed}")
        raise
    if loop.failures:
        raise AssertionError(f"seed {seed}: {loop.failures[0]}")
    checker = world.checker
    return Summary(checker.reads, world.loads, world.rejected, hash(tuple(checker.trace)))


class _Story(Operations):
    """The history of one seed: operations interleaved with faults."""

    def __init__(self, world: World, scene: random.Random, lagging: bool, refusing: bool) -> None:
        super().__init__(world, scene)
        self.lagging = lagging
        # Some seeds have no fault, most have a few kinds; all kinds together would keep the caches empty.
        kinds = [] if lagging else scene.sample(_FAULTS, scene.choice((0, 1, 2, 3, 5)))
        self.faults: list[str] = kinds
        if refusing:
            self.faults = [*kinds[:1], *scene.sample(_REFUSALS, 2)]
        # Many writes make many races; with few writes stale entries last long enough to be read.
        self.writes = scene.choice((0.22, 0.04))

    async def tell(self, operations: int) -> None:
        self.replicas = [Replica(self.world, number) for number in range(3)]
        await asyncio.sleep(0.2)
        tasks: list[asyncio.Task[None]] = []
        pace = self.random.choice((0.002, 0.01, 0.05, 0.05))
        if self.lagging:
            self.world.lag = 1.0
        for _ in range(operations):
            await asyncio.sleep(self.random.expovariate(1 / pace))
            tasks.append(self.world.loop.create_task(self._operation()))
        for task in tasks:
            await task
        await self._settle()

    async def _operation(self) -> None:
        dice = self.random.random()
        if self.faults and dice > 0.92:
            await self._fault(self.random.choice(self.faults))
        elif dice < self.writes:
            await self._write()
        else:
            await self._read()

    async def _fault(self, kind: str) -> None:
        replica = self.random.choice(self.replicas)
        method: Callable[[Replica], Awaitable[None]] = getattr(self, f"_{kind.replace('-', '_')}")
        await method(replica)

    async def _cut(self, replica: Replica) -> None:
        if replica.redis.feed:
            replica.redis.feed.cut()
        await self._troubled([replica], 0.2)

    async def _reconnect(self, replica: Replica) -> None:
        """The driver reconnects silently: messages are lost, and only the acknowledgement shows it."""
        feed = replica.redis.feed
        if feed is None:
            return
        feed.deaf = True

        def heal() -> None:
            feed.deaf = False
            feed.push(Subscribed())

        await self._troubled([replica], self.random.choice((0.01, 0.1, 1.0)), heal)

    async def _half_open(self, replica: Replica) -> None:
        feed, seconds = replica.redis.feed, self.random.uniform(0, 6)
        if feed is None:
            return
        feed.deaf = True
        replica.redis.unconnectable_until = self.world.loop.time() + seconds
        await self._troubled([replica], seconds + BOUND)

    async def _drop(self, replica: Replica) -> None:
        if replica.redis.feed is None:
            return
        replica.redis.feed.drop += 1
        await self._troubled([replica], 2.5)  # the next heartbeat shows the gap

    async def _lose(self, replica: Replica) -> None:
        """The driver reconnects silently while a change is published and replies are late."""
        feed, video_id = replica.redis.feed, self.random.choice(KEYS)
        if feed is None or not self.world.database_up:
            return
        writer = self.random.choice(self.replicas)
        replica.trouble(begins=True)
        await self._announce(writer, video_id)
        await ended(writer.start(writer.read({}, video_id, 0)))  # cached by Redis, not by `replica`
        await asyncio.sleep(0.05)
        replica.redis.late = self.random.uniform(0, 0.3)
        calls = [replica.start(replica.read({}, video_id, 0)) for _ in range(3)]
        await asyncio.sleep(self.random.uniform(0, 0.05))
        feed.deaf = True
        await self._announce(writer, video_id)
        feed.deaf, replica.redis.late = False, 0.0
        feed.push(Subscribed())
        await asyncio.sleep(0.2)
        replica.trouble(begins=False)
        calls += await self._look_on([replica], BOUND)
        await ended(*calls)

    async def _freeze(self, replica: Replica) -> None:
        """Freezes the process, as SIGSTOP or a long pause of its machine does."""
        replica.trouble(begins=True)
        seconds = self.random.uniform(0, 6)
        if self.world.database_up:
            await self._announce(self.random.choice(self.replicas), self.random.choice(KEYS))
        calls = [
            replica.start(replica.read({}, key, 0)) for key in KEYS
        ]  # in progress when the process freezes
        await self.world.hop()
        self.world.loop.freeze(replica)
        self.world.loop.call_later(
            seconds, self.world.loop.thaw, replica
        )  # even if this task waits for the process
        calls.append(self.world.loop.create_task(self._write()))
        await asyncio.sleep(seconds / 2)
        calls += [replica.start(replica.read({}, key, 0)) for key in KEYS]  # queued when the process resumes
        await asyncio.sleep(seconds / 2)
        replica.trouble(begins=False)
        calls += await self._look_on([replica], BOUND)
        await ended(*calls)

    async def _slow(self, replica: Replica) -> None:
        """Delays messages; a gradually growing delay never causes a silence."""
        feed = replica.redis.feed
        if feed is None:
            return
        feed.extra, growth = self.random.choice(((0.5, 0.0), (10.0, 0.0), (0.2, 0.3), (0.2, 0.4), (0.2, 0.6)))
        replica.trouble(begins=True)
        calls = []
        for _ in range(self.random.randint(2, 16)):
            calls.append(self.world.loop.create_task(self._write()))
            calls += await self._look_on([replica], 0.5)
            feed.extra += growth
        feed.extra = 0.0
        while feed.inbox and feed in self.world.feeds:  # messages in transit are late
            await asyncio.sleep(0.1)
        replica.trouble(begins=False)
        await ended(*calls)

    async def _redis_down(self, _: Replica) -> None:
        world = self.world
        world.redis_up = False
        world.cut_all()

        def heal() -> None:
            world.redis_up = True

        await self._troubled(self.replicas, self.random.uniform(0, 4), heal)

    async def _restart(self, _: Replica) -> None:
        await self._new_server(self.world.redis_state())

    async def _failover(self, _: Replica) -> None:
        """Promotes a lagging replica, which loses acknowledged invalidations."""
        standby = self.world.redis_state()
        await asyncio.sleep(self.random.uniform(0, 0.5))
        self.world.clock_skew += self.random.uniform(-1, 1)
        await self._new_server(standby)

    async def _new_server(self, state: object) -> None:
        world = self.world
        world.server = f"server-{self.random.random()}"
        world.redis = state  # type: ignore[assignment]
        world.cut_all()
        await self._troubled(self.replicas, 0.5)

    async def _evict(self, _: Replica) -> None:
        self.world.redis.keys.pop(self.random.choice(KEYS), None)

    async def _flush(self, _: Replica) -> None:
        self.world.redis.keys.clear()
        self.world.redis.sequence = 0

    async def _database_down(self, _: Replica, seconds: tuple[float, float] = (0.0, 3.0)) -> None:
        self.world.database_up, self.world.known_since = False, inf
        await asyncio.sleep(self.random.uniform(*seconds))
        self.world.database_up, self.world.known_since = True, self.world.loop.time()

    async def _refuse(self, replica: Replica) -> None:
        """Refuses writes to all processes, to one, or to all but one."""
        if self._is_refusing:
            return  # one refusal at a time: its end would also end the others
        refusing, world = choose(self.random), self.world
        others = [each for each in self.replicas if each is not replica]
        concerned = self.random.choice((list(self.replicas), list(self.replicas), [replica], others))
        calls = await self._look_on(self.replicas, 0.1)  # caches are warm
        await asyncio.sleep(0.3)
        self._set_refusing(concerned, refusing)
        calls += [world.loop.create_task(self._write()) for _ in range(3)]
        calls += await self._look_on(self.replicas, self.random.choice((0.5, 2.0, 4.0)))
        calls += [world.loop.create_task(self._write()) for _ in range(2)]
        if self.random.random() < 0.3:  # the database cannot list the refused changes either
            await asyncio.sleep(self.random.uniform(0, 0.12))
            calls.append(world.loop.create_task(self._database_down(replica, (4.0, 8.0))))
        calls += await self._look_on(self.replicas, self.random.choice((0.1, BOUND + 1, 2 * BOUND)))
        self._set_refusing(concerned, None)
        calls += await self._look_on(self.replicas, BOUND)
        await ended(*calls)

    @property
    def _is_refusing(self) -> bool:
        return any(each.redis.refusing is not None for each in self.replicas)

    @staticmethod
    def _set_refusing(concerned: list[Replica], refusing: Refusing | None) -> None:
        for each in concerned:
            each.redis.refusing = refusing

    async def _demote(self, _: Replica) -> None:
        """The server becomes a replica without a primary; its clients keep their connections."""
        world = self.world
        if self._is_refusing:
            return
        world.demoted, concerned = True, list(self.replicas)
        self._set_refusing(concerned, Refusing(Refusal.READONLY))
        calls = [world.loop.create_task(self._write()) for _ in range(2)]
        calls += await self._look_on(self.replicas, self.random.uniform(0, 8))
        world.demoted = False
        self._set_refusing(concerned, None)
        await self._new_server(world.redis_state())  # a promotion changes the replication id
        await ended(*calls)

    async def _forgotten(self, replica: Replica) -> None:
        """Resets the bus's sequence and drops as many messages as it had counted."""
        feed, redis = replica.redis.feed, self.world.redis
        if feed is None or not 0 < (count := redis.sequence) < 500:
            return  # a real sequence restarts too high to be counted up to
        replica.trouble(begins=True)
        redis.sequence, feed.drop = 0, feed.drop + count
        writer = next(each for each in self.replicas if each is not replica)
        if self.world.database_up:
            await self._announce(writer, self.random.choice(KEYS))
        for _ in range(count - 1):
            await self._repeat(writer)
            await self.world.hop()
        calls = await self._look_on([replica], 2.5)
        replica.trouble(begins=False)
        calls += await self._look_on([replica], BOUND)
        await ended(*calls)

    async def _crash(self, replica: Replica) -> None:
        if replica not in self.replicas:
            return
        replica.crash()
        self.replicas[self.replicas.index(replica)] = Replica(self.world, self.random.randrange(9))

    async def _abort(self, replica: Replica) -> None:
        """Announces a version that is never committed."""
        video_id = self.random.choice(KEYS)
        with suppress(RefusedError):
            replica.redis.invalidate_now(video_id, self.world.newest(video_id) + 1)

    async def _repeat(self, replica: Replica) -> None:
        """Repeats an old announcement."""
        video_id = self.random.choice(KEYS)
        if newest := self.world.newest(video_id):
            with suppress(RefusedError):
                replica.redis.invalidate_now(video_id, self.random.randint(1, newest))

    async def _partition(self, replica: Replica) -> None:
        replica.redis.partitioned = True
        await asyncio.sleep(self.random.uniform(0, 4))
        replica.redis.partitioned = False

    async def _settle(self) -> None:
        """Ends all faults, waits, and demands that every replica returns the newest version."""
        self.world.lag = 0.0
        for feed in self.world.feeds:
            feed.extra, feed.drop = 0.0, 0
        await asyncio.sleep(8.0)
        for replica in self.replicas:
            if replica.failure is not None:
                raise replica.failure
            for video_id in KEYS:
                client: dict[UUID, int] = {}
                layers = [await replica.read(client, video_id, 0) for _ in range(6)]
                self.world.checker.settled(
                    video_id, client.get(video_id, -1), self.world.newest(video_id), "a replica"
                )
                self._demand_caching(replica, layers)
            replica.crash()

    def _demand_caching(self, replica: Replica, layers: list[Layer | None]) -> None:
        """Demands that L1 serves a video that is read often, unless a fault prevents it permanently."""
        floor_is_forged = "abort" in self.faults
        is_cut_off = (
            not replica.epoch_state.is_known
        )  # a slow process registered a server that had already ended
        if Layer.L1 not in layers and None not in layers and not floor_is_forged and not is_cut_off:
            raise Violation(f"stuck: nothing is cached, but read from {layers}")
