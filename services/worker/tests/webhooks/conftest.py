"""Receivers on loopback, webhooks in the database, and workers that deliver."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from gostream_shared.concurrency import task_group
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.companions.webhooks import Webhook
from gostream_shared.egress.guard import EgressGuard
from gostream_worker.webhooks.dispatcher import Dispatcher
from gostream_worker.webhooks.sender import Sender

#: Seconds; long, because the machine may be busy.
PATIENCE = 60.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = EgressGuard.of("127.0.0.0/8", allows_http=True)
NEW = "INSERT INTO videos (id, user_id, title, content_type) VALUES ($1, $2, 'Film', 'video/mp4')"


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Records what it gets. `answer` returns the HTTP status of the request with that number, from 1."""

    url: str = ""
    answer: Callable[[int], int] = lambda number: 204
    location: str = ""
    received: list[Received] = field(default_factory=list)
    #: Cleared: requests wait.
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    most: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.received.append(Received(headers, await request.read()))
            number = len(self.received)
            await self.go_on.wait()
        finally:
            self.in_flight -= 1
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=self.answer(number), headers=headers)

    async def got(self, count: int) -> None:
        """Wait for that many requests."""
        async with asyncio.timeout(PATIENCE):
            while len(self.received) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    receiver.go_on.set()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [address] = runner.addresses
    receiver.url = f"http://127.0.0.1:{address[1]}/hook"
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        await runner.cleanup()


Receive = Callable[..., Awaitable[Receiver]]


@pytest.fixture
async def receive() -> AsyncIterator[Receive]:
    """A function that starts a receiver."""
    async with AsyncExitStack() as stack:

        async def start(**options: object) -> Receiver:
            return await stack.enter_async_context(receiving(Receiver(**options)))  # type: ignore[arg-type]

        yield start


@dataclass
class Hooks:
    """Webhooks and their deliveries, as a test makes and sees them."""

    database: PostgresDatabase

    async def add(self, url: str, *types: str, owner: str = "alice", secret: str = SECRET) -> Webhook:
        return await self.database.webhooks.create(owner, url, frozenset(types), secret)

    async def happen(self, owner: str = "alice") -> UUID:
        """Something happens to a new video."""
        video_id = uuid4()
        await self.database.pool.execute(NEW, video_id, owner)
        return video_id

    async def hurry(self) -> None:
        """Make every pending delivery due, and end every pause."""
        await self.database.pool.execute(
            "UPDATE deliveries SET next_at = now() WHERE status = 'PENDING' AND leased_until IS NULL"
        )
        await self.database.pool.execute("UPDATE webhooks SET paused_until = NULL")

    async def states(self) -> dict[str, int]:
        rows = await self.database.pool.fetch("SELECT status, count(*) FROM deliveries GROUP BY status")
        return {row["status"]: row["count"] for row in rows}

    async def until(self, state: str, count: int, *, hurry: bool = True) -> None:
        """Wait until so many deliveries are in the state."""
        async with asyncio.timeout(PATIENCE):
            while (await self.states()).get(state, 0) < count:
                if hurry:
                    await self.hurry()
                await asyncio.sleep(0.02)


@pytest.fixture
def hooks(database: PostgresDatabase) -> Hooks:
    return Hooks(database)


@asynccontextmanager
async def delivering(
    database: PostgresDatabase, *, timeout: float = 60.0, lease: float = 120.0, guard: EgressGuard = LOOPBACK
) -> AsyncIterator[Dispatcher]:
    async with Sender.open(guard, timeout=timeout) as sender:
        dispatcher = Dispatcher(database.deliveries, sender, lease=timedelta(seconds=lease), pause=0.05)
        async with task_group() as tasks:
            tasks.create_task(dispatcher.run())
            yield dispatcher
            dispatcher.stop()
