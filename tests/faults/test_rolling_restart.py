"""Three API replicas are restarted one after another, and no call of any door fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count

import aiohttp
import pytest

from gostream_client import AsyncClient, GoStreamError
from gostream_devstack.instance.stack import Stack
from gostream_shared.concurrency import in_background
from tests.support.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.faults]
#: Concurrent callers of each kind.
CALLERS = 4
#: Answers of each kind before the first stop, and after each start.
ANSWERS = 100

Call = Callable[[], Awaitable[object]]


class Load:
    """Calls of several kinds, without a pause, until the block ends."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: list[tuple[str, str]] = []
        self.calls: dict[str, Call] = {}

    async def repeat(self, kind: str) -> None:
        while True:
            try:
                await self.calls[kind]()
                self.answered[kind] += 1
            except (GoStreamError, aiohttp.ClientError, AssertionError) as error:
                self.failed.append((kind, repr(error)))
                await asyncio.sleep(0.01)

    async def more(self, number: int) -> None:
        """Waits for so many further answers of each kind."""
        least = {kind: self.answered[kind] + number for kind in self.calls}
        await eventually(lambda: all(self.answered[kind] >= least[kind] for kind in least))


def json_call(session: aiohttp.ClientSession, urls: list[str]) -> Call:
    """Returns a call that takes the URLs alternately, and the next one if no one listens."""
    turns = count()

    async def call() -> None:
        turn = next(turns) % len(urls)
        for url in urls[turn:] + urls[:turn]:
            try:
                async with session.get(url) as answer:
                    assert answer.status == 200, await answer.text()
                    await answer.read()
                    return
            except aiohttp.ClientConnectorError as error:
                refused = error
        raise refused

    return call


@pytest.fixture
async def load(make_stack: Callable[..., Stack]) -> AsyncIterator[tuple[Stack, Load]]:
    stack = await asyncio.to_thread(make_stack, 3, 0)
    load = Load()
    async with AsyncExitStack() as opened:
        grpc = await opened.enter_async_context(AsyncClient(stack.env["GOSTREAM_API_ADDR"], timeout=60))
        reads = await opened.enter_async_context(AsyncClient(stack.env["GOSTREAM_READ_ADDR"], timeout=60))
        session = await opened.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        )
        video_id = (await grpc.create_video(title="load", size_bytes=4)).video.id
        path = f"/v1/videos/{video_id}"
        edge = stack.env["GOSTREAM_HTTP_URL"]
        load.calls = {
            "gRPC": lambda: grpc.get_video(video_id),
            "writes by gRPC": lambda: grpc.create_video(title="load", size_bytes=4),
            "read door, gRPC": lambda: reads.get_video(video_id),
            "read door, JSON": json_call(session, [f"http://{api.read_address}{path}" for api in stack.apis]),
            "Envoy, JSON": json_call(session, [edge + path]),
            "Envoy, list in JSON": json_call(session, [f"{edge}/v1/videos?page_size=1"]),
        }
        yield stack, load


async def test_rolling_restart_fails_no_call(load: tuple[Stack, Load]) -> None:
    stack, calls = load
    async with in_background(*(calls.repeat(kind) for kind in calls.calls for _ in range(CALLERS))):
        await calls.more(ANSWERS)
        for api in stack.apis:
            await asyncio.to_thread(api.stop)
            assert api.returncode == 0
            await asyncio.to_thread(api.start, 300)
            await calls.more(ANSWERS)

    print(dict(calls.answered))
    assert Counter(kind for kind, _ in calls.failed) == {}, calls.failed[:3]
