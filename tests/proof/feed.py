"""A bus subscription in the simulated world."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from gostream_shared.cache.protocol import CacheUnavailableError, Subscribed

if TYPE_CHECKING:
    from tests.proof.world import World


@dataclass(eq=False)
class Feed:
    """One subscription. Items arrive in order, each after a delay."""

    world: "World"
    inbox: deque[tuple[float, Subscribed | str]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    deaf: bool = False  # half-open: messages are lost without an error
    drop: int = 0  # messages to lose
    extra: float = 0.0  # more delay
    acknowledged: float = inf  # when the process received the acknowledgement

    def push(self, item: Subscribed | str) -> None:
        if self.deaf or self.closed:
            return
        if self.drop and not isinstance(item, Subscribed):
            self.drop -= 1
            return
        due = self.world.loop.time() + self.world.delay() + self.extra
        if self.inbox:
            due = max(due, self.inbox[-1][0])
        self.inbox.append((due, item))
        self.news.set()

    def cut(self) -> None:
        self.closed = True
        self.news.set()

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> Subscribed | str:
        while not self.closed:
            if self.inbox and self.inbox[0][0] <= self.world.loop.time():
                item = self.inbox.popleft()[1]
                if isinstance(item, Subscribed):
                    self.acknowledged = self.world.loop.time()
                return item
            self.news.clear()
            if self.inbox:
                await asyncio.sleep(self.inbox[0][0] - self.world.loop.time())
            else:
                await self.news.wait()
        raise CacheUnavailableError("connection lost")
