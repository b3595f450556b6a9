"""Client operations of one history: reads, writes, and reads during faults."""

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

from tests.proof.checker import BOUND
from tests.proof.replica import Replica
from tests.proof.world import KEYS, World


class Operations:
    """Checked reads and writes of three clients through the replicas."""

    def __init__(self, world: World, scene: random.Random) -> None:
        self.world = world
        self.random = scene
        self.clients: list[dict[UUID, int]] = [{} for _ in range(3)]
        self.replicas: list[Replica] = []

    async def _read(self) -> None:
        replica, client = self.random.choice(self.replicas), self.random.choice(self.clients)
        video_id = self.random.choice(KEYS)
        min_version = self.random.choice((0, 0, client.get(video_id, 0), client.get(video_id, 0), 2**62))
        if self.random.random() > 0.1:
            min_version = min(min_version, client.get(video_id, 0))
        task = replica.start(replica.read(client, video_id, min_version))
        if self.random.random() < 0.1:
            await self.world.hop()
            task.cancel()
        await ended(task)

    async def _write(self) -> None:
        replica, client = self.random.choice(self.replicas), self.random.choice(self.clients)
        video_id = self.random.choice(KEYS)
        await self.world.hop()
        if not self.world.database_up:
            return
        deleted = bool(self.world.rows[video_id]) and self.world.rows[video_id][-1] is None
        version = self.world.commit(video_id, delete=not deleted and self.random.random() < 0.1)
        if (
            self.random.random() < 0.1
        ):  # no announcement, as after an update in psql or the writer's death: the relay announces it
            client[video_id] = max(version, client.get(video_id, 0))
            return
        call = replica.start(replica.announcer.announce(video_id, version))
        await ended(call)
        if not call.cancelled():
            self.world.checker.announced(self.world.loop.time(), video_id, version)
        client[video_id] = max(version, client.get(video_id, 0))
        if self.random.random() < 0.15:
            await self._read_own_write(client, video_id)

    async def _announce(self, writer: Replica, video_id: UUID) -> None:
        version = self.world.commit(video_id)
        await ended(writer.start(writer.announcer.announce(video_id, version)))

    async def _read_own_write(self, client: dict[UUID, int], video_id: UUID) -> None:
        """Reads the version from every replica at once, twice."""
        calls = [
            replica.start(replica.read(client, video_id, client[video_id]))
            for replica in self.replicas
            for _ in range(2)
        ]
        await ended(*calls)

    async def _troubled(
        self, replicas: list[Replica], seconds: float, heal: Callable[[], None] = lambda: None
    ) -> None:
        """Marks the replicas' bus as faulty for `seconds`, heals it, and reads throughout and after."""
        replicas = list(replicas)  # a crash may replace elements of the caller's list
        for replica in replicas:
            replica.trouble(begins=True)
        calls = [self.world.loop.create_task(self._write())]
        calls += await self._look_on(replicas, seconds)
        heal()
        for replica in replicas:
            replica.trouble(begins=False)
        calls += await self._look_on(replicas, BOUND)
        await ended(*calls)

    async def _look_on(self, replicas: list[Replica], seconds: float) -> list[asyncio.Task[None]]:
        """Lets `seconds` pass with regular reads, so that the checker sees staleness early."""
        calls = []
        end = self.world.loop.time() + seconds
        while (left := end - self.world.loop.time()) > 0:
            await asyncio.sleep(min(left, 0.8))
            calls += [replica.start(replica.read({}, key, 0)) for replica in replicas for key in KEYS]
        return calls


async def ended(*tasks: asyncio.Task[None]) -> None:
    """Waits for calls; a caller or a crash may cancel them. Raises the first other error."""
    for task in tasks:
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
