"""The primaries of a Redis Cluster. Each has a client with the pool and the checks of a single server.

The driver's own cluster client has no hook for new connections, fails instead of waiting for a free one, and
sends ASKING over another connection than the command (docs/decisions/0213).
"""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import AskError, ConnectionError, MovedError, RedisError

from gostream_shared.cache.driver.client import SECTIONS, server_identity
from gostream_shared.cache.driver.sentinels import Address, unanswered
from gostream_shared.cache.driver.servers import Call, run_all
from gostream_shared.concurrency import task_group

Result = TypeVar("Result")

#: Seconds that one node may take to tell the slots; then the next one is queried.
_PATIENCE = 0.2
#: Redirections of one command, before the move of its slot counts as an outage.
_REDIRECTIONS = 3


class Slots:
    """Which node has which slot, as one node of the cluster told it."""

    def __init__(self, ranges: Sequence[tuple[int, int, Address]]) -> None:
        self._ranges = sorted(ranges)
        self._starts = [first for first, _, _ in self._ranges]

    def owner(self, slot: int) -> Address:
        """Raises ConnectionError if no node has the slot."""
        position = bisect_right(self._starts, slot) - 1
        if position >= 0 and slot <= self._ranges[position][1]:
            return self._ranges[position][2]
        raise ConnectionError(f"no node of the cluster has slot {slot}")

    @property
    def owners(self) -> set[Address]:
        return {address for _, _, address in self._ranges}


class Cluster:
    """Implements Servers for a Redis Cluster.

    `open_node` returns a client of a primary, `ask` one for questions to any node.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        *,
        open_node: Callable[[Address], Redis],
        ask: Callable[[Address], Redis],
    ) -> None:
        self._seeds = tuple(seeds)
        self._known = list(seeds)  # the next to ask about the slots is the first
        self._open_node = open_node
        self._ask = ask
        self._clients: dict[Address, Redis] = {}
        self._slots: Slots | None = None
        self._learning = asyncio.Lock()

    def together(self, keys: Sequence[str]) -> Sequence[Sequence[int]]:
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            groups[_slot(key)].append(position)
        return list(groups.values())

    async def owner(self, key: str) -> Redis:
        slots = self._slots or await self._learn()
        return self._client(slots.owner(_slot(key)))

    async def at(self, key: str, send: Callable[[Redis], Awaitable[Result]]) -> Result:
        for _ in range(_REDIRECTIONS):
            try:
                return await self._follow(await self.owner(key), send)
            except MovedError:  # also from a node that had to be sent a script after ASKING
                self._slots = None
        raise ConnectionError("the nodes of the cluster disagree about a slot")

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        by_owner: defaultdict[Redis, list[int]] = defaultdict(list)
        for position, call in enumerate(calls):
            by_owner[await self.owner(call.keys[0])].append(position)
        replies: list[Any] = [None] * len(calls)

        async def run(client: Redis, positions: list[int]) -> None:
            some = await run_all(client, [calls[position] for position in positions])
            for position, reply in zip(positions, some, strict=True):
                replies[position] = await self._settled(calls[position], reply)

        async with task_group() as group:
            for client, positions in by_owner.items():
                group.create_task(run(client, positions))
        return replies

    async def run_in_order(self, first: Sequence[Call], then: Sequence[Call]) -> None:
        await self.run_all(first)
        await self.run_all(then)

    async def _settled(self, call: Call, reply: Any) -> Any:
        if isinstance(reply, AskError):  # or its subclass MovedError
            self._slots = None
            return await self.at(call.keys[0], call.run)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def identity(self) -> str:
        slots = self._slots or await self._learn()
        infos = [await self._client(address).info(*SECTIONS) for address in sorted(slots.owners)]
        return ",".join(sorted(map(server_identity, infos)))

    def doubt(self) -> None:
        self._slots = None

    async def forget(self) -> None:
        self._slots = None
        for client in self._clients.values():
            await client.connection_pool.disconnect()

    async def __aenter__(self) -> "Cluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _client(self, address: Address) -> Redis:
        if address not in self._clients:
            self._clients[address] = self._open_node(address)
        return self._clients[address]

    async def _follow(self, client: Redis, send: Callable[[Redis], Awaitable[Result]]) -> Result:
        try:
            return await send(client)
        except MovedError:
            raise
        except AskError as error:
            return await self._asking(self._client(error.node_addr), send)

    async def _asking(self, client: Redis, send: Callable[[Redis], Awaitable[Result]]) -> Result:
        """Send to the node that is receiving the key's slot: it accepts the connection's next command."""
        async with client.client() as one:
            command: Any = one.execute_command
            await command("ASKING")
            return await send(one)

    async def _learn(self) -> Slots:
        """Ask the nodes for the slots, one after the other; callers share the answer."""
        async with self._learning:
            if self._slots is not None:
                return self._slots
            failure: Exception = ConnectionError("none is known")
            for address in tuple(self._known):
                # If this node does not answer, or its caller gives up, another one is queried first.
                self._known = [each for each in self._known if each != address] + [address]
                try:
                    slots = await self._told_by(address)
                except (RedisError, OSError) as error:
                    failure = error
                    continue
                self._slots, self._known = slots, list(dict.fromkeys([*slots.owners, *self._seeds]))
                return slots
            raise unanswered("no node of the cluster tells its slots", failure) from failure

    async def _told_by(self, address: Address) -> Slots:
        async with asyncio.timeout(_PATIENCE), self._ask(address) as client:
            command: Any = client.execute_command
            found = await command("CLUSTER", "SLOTS")
        return Slots([(first, last, _place(node, address)) for first, last, node, *_ in found])


def _slot(key: str) -> int:
    return key_slot(key.encode())


def _place(node: Sequence[Any], asked: Address) -> Address:
    """Returns a node's address. A node that does not know its own name means the address that was asked."""
    return (node[0].decode() if node[0] else asked[0]), int(node[1])
