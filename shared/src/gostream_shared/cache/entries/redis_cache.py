"""RedisVideoCache: the VideoCache port over the Lua scripts in scripts/."""

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any
from uuid import UUID

from gostream_shared.cache.driver.client import HARD_TIMEOUT, SOFT_TIMEOUT
from gostream_shared.cache.driver.servers import Call, Script
from gostream_shared.cache.entries.codec import SCHEMA, decode_entry, encode_entry
from gostream_shared.cache.entries.epoch import EpochState
from gostream_shared.cache.entries.server_clock import ServerClock
from gostream_shared.cache.metrics import STALE_FILLS
from gostream_shared.cache.protocol import (
    NEWEST,
    CacheUnavailableError,
    Entry,
    Fill,
    Filled,
    Hit,
    Lease,
    Lookup,
    Wait,
)
from gostream_shared.cache.redis_connection import RedisConnection

SEQUENCE_KEY = "gostream:bus:sequence"
_PEEKED = ("epoch", "version", "floor", "fresh_until", "cost", "reply_of", "reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTimes:
    """Lifetimes in seconds."""

    ttl: float = 300.0  # of an entry in Redis
    negative_ttl: float = 5.0  # of "no such video" in Redis
    lease: float = 1.5  # callers wait this long for a dead leader; the result of a slower load is not stored
    tombstone: float = 60.0  # of an invalidation without an entry; longer than any load or lease
    fresh: float = 0.8  # fraction of the ttl after which a read reloads the entry
    jitter: float = 0.1  # fraction of the ttl that spreads the expiry of entries stored together


def video_key(video_id: UUID) -> str:
    """Returns the only key of a video in Redis: entry, floor and lease expire and are evicted together."""
    return f"video:{video_id}"


def change_channel(database: int) -> str:
    """Returns the channel of a numbered database, because the databases of one Redis share all channels."""
    return f"gostream:{database}:changes"


def load_script(name: str) -> Script:
    """Returns the script `name` from scripts/ in this folder or in bus/."""
    folder = "bus" if name == "beat" else "entries"
    return Script((files("gostream_shared.cache") / folder / "scripts" / f"{name}.lua").read_text())


class RedisVideoCache:
    """Implements gostream_shared.cache.protocol.VideoCache. Times are measured by the server's clock."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        channel: str,
        epoch_state: EpochState,
        times: CacheTimes,
        form: str = "",
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._epoch_state = epoch_state
        self._times = times
        self._form = form  # of the encoded replies that this process reads and writes
        self._clock = ServerClock()
        self._get_or_lease = load_script("get_or_lease")
        self._fill = load_script("fill")
        self._raise_floor = load_script("raise_floor")
        self._announce = load_script("announce")

    async def get_or_lease(self, video_id: UUID, *, min_version: int = 0, refresh: bool = False) -> Lookup:
        if not refresh and min_version != NEWEST:
            hit = await self._peek(video_id, min_version)
            if hit is not None:
                return hit
        [lookup] = await self._look_up([video_id], [min_version], refresh=refresh)
        return lookup

    async def get_or_lease_many(
        self, video_ids: Sequence[UUID], min_versions: Sequence[int]
    ) -> Mapping[UUID, Lookup]:
        lookups = await self._look_up(video_ids, min_versions, refresh=False)
        return dict(zip(video_ids, lookups, strict=True))

    async def fill(self, video_id: UUID, fill: Fill) -> Filled:
        return (await self.fill_many({video_id: fill}))[video_id]

    async def fill_many(self, fills: Mapping[UUID, Fill]) -> Mapping[UUID, Filled]:
        calls = [
            Call(self._fill, [video_key(video_id)], self._fill_arguments(fill))
            for video_id, fill in fills.items()
        ]
        replies = await self._run("fill", calls)
        outcomes = [_count(Filled(reply.decode())) for reply in replies]
        return dict(zip(fills, outcomes, strict=True))

    async def invalidate(self, changes: Mapping[UUID, int]) -> None:
        tombstone = _ms(self._times.tombstone)
        floors = [
            Call(self._raise_floor, [video_key(video_id)], [version, tombstone])
            for video_id, version in changes.items()
        ]
        messages = [
            Call(self._announce, [SEQUENCE_KEY], [self._channel, str(video_id), version])
            for video_id, version in changes.items()
        ]
        async with self._connection.guarded("invalidate", HARD_TIMEOUT):
            await self._connection.servers.run_in_order(floors, messages)

    async def _peek(self, video_id: UUID, min_version: int) -> Hit | None:
        """Returns what GET_OR_LEASE returns for a fresh entry with a reply; None if the script must decide.

        One HMGET is as atomic as the script, which writes nothing in this case, and costs half as much.
        """
        epoch = self._epoch_state.epoch
        if self._clock.now(epoch) is None:
            return None
        key = video_key(video_id)
        async with self._connection.guarded("get", SOFT_TIMEOUT):
            values = await self._connection.servers.at(key, partial(_peeked, key))
        self._epoch_state.demand(epoch)
        now = self._clock.now(epoch)
        return (
            None if now is None else _fresh(values, epoch=epoch, least=min_version, form=self._form, now=now)
        )

    async def _look_up(
        self, video_ids: Sequence[UUID], min_versions: Sequence[int], *, refresh: bool
    ) -> list[Lookup]:
        """Look up all the videos of a slot with one command: commands cost the driver more than Redis."""
        if not video_ids:
            return []
        epoch = self._epoch_state.epoch
        token = secrets.token_hex(8)  # unique per call: a lease acquired again is another lease
        grace = self._times.ttl * (1 - self._times.fresh)
        options = [token, _ms(self._times.lease), epoch, SCHEMA, _ms(grace), int(refresh), self._form]
        keys = [video_key(video_id) for video_id in video_ids]
        groups = self._connection.servers.together(keys)
        calls = [
            Call(
                self._get_or_lease,
                [keys[each] for each in group],
                [*options, *(min_versions[each] for each in group)],
            )
            for group in groups
        ]
        found = await self._run("get", calls)
        self._epoch_state.demand(epoch)
        self._clock.learn(epoch, found[0][-1])
        lookups = {
            position: _lookup(reply, token)
            for group, replies in zip(groups, found, strict=True)
            for position, reply in zip(group, replies[:-1], strict=True)
        }
        return [lookups[position] for position in range(len(keys))]

    def _fill_arguments(self, fill: Fill) -> list[Any]:
        entry = fill.entry
        ttl = self._times.negative_ttl if entry.is_absent else self._times.ttl
        ttl *= 1 - self._times.jitter * random.random()  # noqa: S311 - spreads load, guards nothing
        return [
            fill.token,
            entry.version,
            encode_entry(entry),
            SCHEMA,
            _ms(ttl * self._times.fresh),
            _ms(ttl),
            _ms(fill.cost),
            entry.reply or b"",
            f"{entry.version}:{self._form}" if entry.reply else "",
        ]

    async def _run(self, operation: str, calls: Sequence[Call]) -> list[Any]:
        """Returns the replies to the calls. A single call needs no pipeline."""
        servers = self._connection.servers
        async with self._connection.guarded(operation, SOFT_TIMEOUT):
            if len(calls) > 1:
                return await servers.run_all(calls)
            return [await servers.at(each.keys[0], each.run) for each in calls]


async def _peeked(key: str, client: Any) -> list[bytes | None]:
    found: list[bytes | None] = await client.execute_command("HMGET", key, *_PEEKED)
    return found


def _lookup(reply: list[Any], token: str) -> Lookup:
    """Parse the reply of GET_OR_LEASE for one key."""
    kind, *values = reply
    if kind == b"HIT":
        return Hit(_entry(values), fresh_for=values[3] / 1000, cost=values[4] / 1000)
    if kind == b"LEASE":
        return Lease(token, _entry(values) if values else None)
    if kind == b"WAIT":
        return Wait()
    raise CacheUnavailableError("the epoch of this process is older than the epoch in Redis")


def _fresh(values: list[Any], *, epoch: int, least: int, form: str, now: float) -> Hit | None:
    """Returns the entry if its epoch is current, its version is high enough and it is fresh."""
    key_epoch, version, floor, fresh_until, cost, reply_of, reply = values
    if version is None or not reply or reply_of != b"%b:%b" % (version, form.encode()):
        return None
    fresh_for = (int(fresh_until) - now) / 1000
    if int(key_epoch or 0) != epoch or int(version) < max(int(floor or 0), least) or fresh_for <= 0:
        return None
    return Hit(Entry(int(version), None, reply), fresh_for=fresh_for, cost=int(cost) / 1000)


def _entry(values: list[Any]) -> Entry:
    version, data, is_reply = int(values[0]), values[1], values[2]
    if is_reply:
        return Entry(version, None, data)
    entry = decode_entry(version, data)
    if entry is None:
        raise CacheUnavailableError("an entry in Redis cannot be decoded")
    return entry


def _count(filled: Filled) -> Filled:
    if filled is not Filled.OK:
        STALE_FILLS.labels(filled).inc()
    return filled


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
