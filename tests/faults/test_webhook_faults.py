"""Webhooks while API replicas and workers are killed and the receiver fails: nothing is lost."""

import asyncio
import random
from collections import defaultdict
from contextlib import aclosing
from uuid import uuid4

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from gostream_client import AsyncClient
from gostream_shared.db.database import PostgresDatabase
from tests.faults.replicas import PATIENCE, Fleet
from tests.faults.worker_processes import Start, WorkerProcess
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.slow]

VIDEOS, CHANGES = 20, 10  # 200 changes
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = {"WEBHOOK_URL_ALLOW": "127.0.0.0/8", "WEBHOOK_URL_HTTP": "true"}
Seen = dict[str, list[int]]


class Receiver:
    """Fails three requests of ten: by a status, by a lost answer, or by an answer without effect."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.seen: Seen = defaultdict(list)
        self.requests = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body, luck = await request.read(), self._chance.random()
        data = Verifier(SECRET).verify(body, {**request.headers})["data"]
        if luck < 0.1:
            return web.Response(status=500)
        if luck >= 0.2:
            self.seen[data["video_id"]].append(data["version"])
        if luck < 0.3:  # before it was noted, or after it
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)


async def change(fleet: Fleet, chance: random.Random) -> dict[str, int]:
    """Makes videos and changes them. Returns the last version of each."""
    last: dict[str, int] = {}
    ids = [uuid4() for _ in range(VIDEOS)]
    for video_id in ids:
        await fleet.database.execute(
            "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, 'faults', 'x', 'video/mp4')",
            video_id,
        )
    for turn in range(CHANGES - 1):
        for video_id in ids:
            last[str(video_id)] = await fleet.change(video_id, str(turn))
            await asyncio.sleep(chance.uniform(0, 0.05))
    return last


def is_complete(seen: Seen, last: dict[str, int]) -> bool:
    return all(set(range(1, version + 1)) <= set(seen[video_id]) for video_id, version in last.items())


async def follow(address: str, seen: Seen, began: asyncio.Event) -> None:
    async with AsyncClient(address) as client, aclosing(client.watch_events(user_id="faults")) as events:
        async for event in events:
            began.set()
            seen[event.video_id].append(event.version)


async def disturb(workers: list[WorkerProcess], start_worker: Start, chance: random.Random) -> None:
    """Kills a worker once all work, again and again, and starts another."""
    while True:
        while not all("claiming jobs" in worker.log.read_text() for worker in workers):
            await asyncio.sleep(0.1)
        await asyncio.sleep(chance.uniform(0, 1))
        victim = workers.pop(chance.randrange(len(workers)))
        victim.process.kill()
        victim.process.wait()
        workers.append(start_worker(**LOOPBACK))


async def hurry(fleet: Fleet) -> None:
    """Ends the pauses between tries, which are hours."""
    while True:
        await fleet.database.execute(
            """UPDATE deliveries SET next_at = now()
            WHERE status = 'PENDING' AND leased_until IS NULL AND next_at > now()"""
        )
        await fleet.database.execute("UPDATE webhooks SET paused_until = NULL WHERE paused_until IS NOT NULL")
        await asyncio.sleep(0.2)


async def test_kills_lose_no_event(fleet: Fleet, start_worker: Start, database_url: str) -> None:
    chance = random.Random(11)
    receiver = Receiver(chance)
    application = web.Application()
    application.router.add_post("/", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with PostgresDatabase.open(database_url) as database:
        await database.webhooks.create(
            "faults", f"http://127.0.0.1:{runner.addresses[0][1]}/", frozenset(), SECRET
        )
    replicas = await fleet.start(2)
    workers = [start_worker(**LOOPBACK) for _ in range(3)]
    followed: Seen = defaultdict(list)
    began = asyncio.Event()

    async with asyncio.TaskGroup() as tasks:
        address = ",".join(replica.client.server for replica in replicas)
        helpers = [tasks.create_task(follow(address, followed, began))]
        async with asyncio.timeout(PATIENCE):
            while not began.is_set():
                await fleet.change(await fleet.new_video("the stream has begun"), "now")
        helpers += [
            tasks.create_task(hurry(fleet)),
            tasks.create_task(disturb(workers, start_worker, chance)),
        ]
        changing = asyncio.create_task(change(fleet, chance))
        await asyncio.sleep(2)
        replicas[chance.randrange(2)].process.kill()
        last = await changing

        async def complete() -> bool:
            return is_complete(receiver.seen, last) and is_complete(followed, last)

        await eventually(complete, timeout=PATIENCE)
        for helper in helpers:
            helper.cancel()
    await runner.cleanup()

    assert len(last) == VIDEOS
    for seen in (receiver.seen, followed):
        for video_id, version in last.items():
            kept = 0
            for each in seen[video_id]:  # what a consumer does: it drops what is older
                kept = max(kept, each)
            assert kept == version
