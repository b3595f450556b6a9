"""A Python model of the Lua scripts, used by the simulator and compared with the real scripts.

`without` names rules to remove, so that the proof can show that each is necessary.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from gostream_shared.cache.entries.redis_cache import CacheTimes
from gostream_shared.cache.protocol import CacheUnavailableError, Entry, Filled, Hit, Lease, Lookup, Wait


class Refusal(enum.StrEnum):
    """Reasons for which a server answers reads and refuses writes, by the error's first word.

    The effects were verified by hand on Valkey 9.1; tests/faults/test_redis_refuses_writes.py provokes OOM,
    NOREPLICAS, READONLY and NOPERM on a real server.
    """

    OOM = (
        "OOM"  # maxmemory with noeviction: refuses commands that may need memory, until a script has written
    )
    NOREPLICAS = "NOREPLICAS"  # min-replicas-to-write
    MISCONF = "MISCONF"  # the disk is full
    READONLY = "READONLY"  # demoted
    NOPERM = "NOPERM"  # the user's ACL has no @write


class RefusedError(CacheUnavailableError):
    """The server refused a write and changed no key."""


@dataclass(slots=True)
class Key:
    """The fields of `video:{id}`; times in seconds of the server's clock."""

    floor: int = 0
    epoch: int | None = None
    entry: Entry | None = None
    cost: float = 0.0
    fresh_until: float = 0.0
    lease: str | None = None
    lease_until: float = 0.0
    expires: float = float("inf")

    def drop(self) -> None:
        """Removes entry and lease, like HDEL."""
        self.entry, self.fresh_until, self.cost = None, 0.0, 0.0
        self.lease, self.lease_until = None, 0.0


@dataclass(slots=True)
class ModelRedis:
    """One server. Every method is one script, hence atomic."""

    clock: Callable[[], float]
    times: CacheTimes
    without: frozenset[str] = frozenset()
    keys: dict[UUID, Key] = field(default_factory=dict)
    sequence: int = 0  # 0 = none, initially and after a flush
    beat_at: float = float("-inf")
    refusal: Refusal | None = None  # of writes, from now on

    def _writes(self, *, needs_memory: bool = True) -> None:
        """Called before a script's first write. Raises RefusedError if the server refuses it."""
        if self.refusal is not None and (needs_memory or self.refusal is not Refusal.OOM):
            raise RefusedError(self.refusal)

    def key(self, video_id: UUID) -> Key | None:
        """Returns the key unless it has expired."""
        found = self.keys.get(video_id)
        if found is not None and self.clock() >= found.expires:
            del self.keys[video_id]
            return None
        return found

    def get_or_lease(
        self, video_id: UUID, token: str, *, epoch: int, min_version: int = 0, refresh: bool = False
    ) -> Lookup:
        now, key = self.clock(), self.key(video_id)
        is_renewed = key is not None and key.epoch is not None and key.epoch != epoch
        if is_renewed:
            if key is not None and (key.epoch or 0) > epoch:
                raise CacheUnavailableError("behind")
            self._writes(needs_memory=False)
            key = self.keys[video_id] = Key()
        elif key is None:
            self._writes()
            key = self.keys[video_id] = Key()
        usable = self._usable(key, min_version, now)
        leased = key.lease is not None and key.lease_until > now
        fresh = key.fresh_until - now
        if usable is not None and (leased or (fresh > 0 and not refresh)):
            return Hit(usable, fresh_for=fresh, cost=key.cost)
        if leased and "one-lease" not in self.without:
            return Wait()
        self._writes(needs_memory=not is_renewed)
        key.epoch, key.lease, key.lease_until = epoch, token, now + self.times.lease
        if key.expires == float("inf") or key.expires - now < self.times.lease:
            key.expires = now + self.times.lease
        return Lease(token, usable)

    def peek(self, video_id: UUID, *, epoch: int, min_version: int = 0) -> Hit | None:
        """The HMGET in front of GET_OR_LEASE: its reply if that is a fresh entry, and no effect."""
        key = self.key(video_id)
        if key is None or (key.epoch != epoch and "peek-epoch" not in self.without):
            return None
        fresh = key.fresh_until - self.clock()
        if fresh <= 0 or key.entry is None:
            return None
        if key.entry.version < max(key.floor, min_version) and "peek-version" not in self.without:
            return None
        return Hit(key.entry, fresh_for=fresh, cost=key.cost)

    def _usable(self, key: Key, min_version: int, now: float) -> Entry | None:
        grace = self.times.ttl * (1 - self.times.fresh)
        if key.entry is None or key.fresh_until - now <= -grace:
            return None
        return key.entry if key.entry.version >= max(key.floor, min_version) else None

    def fill(self, video_id: UUID, token: str, entry: Entry, *, ttl: float, cost: float = 0.0) -> Filled:
        now, key = self.clock(), self.key(video_id)
        if key is None:
            key = Key()
        held = key.lease == token and key.lease_until > now
        if not held and "fill-lease" not in self.without:
            return Filled.LEASE
        self._writes(needs_memory=False)
        key.lease, key.lease_until = None, 0.0
        if entry.version < key.floor and "fill-floor" not in self.without:
            return Filled.FLOOR
        key.entry, key.cost = entry, cost
        key.floor = entry.version
        key.fresh_until, key.expires = now + ttl * self.times.fresh, now + ttl
        self.keys[video_id] = key
        return Filled.OK

    def raise_floor(self, video_id: UUID, version: int) -> None:
        """The first step of INVALIDATE."""
        self._writes(needs_memory="allow-oom" in self.without)
        key = self.key(video_id) or Key()
        if version > key.floor:
            self.keys[video_id] = key
            key.floor = version
            lease = key.lease, key.lease_until
            key.drop()
            if "invalidate-lease" in self.without:
                key.lease, key.lease_until = lease
            key.expires = self.clock() + self.times.tombstone

    def announce(self) -> int:
        """The second step of INVALIDATE. Returns the sequence number of the published message."""
        self._writes(needs_memory="allow-oom" in self.without)
        return self.next_sequence()

    def beat(self, interval: float) -> int | None:
        """Returns the sequence number of a heartbeat, or None if there was a recent one."""
        now = self.clock()
        if 0 <= now - self.beat_at < interval:
            return None
        self._writes(needs_memory="allow-oom" in self.without)
        self.beat_at = now
        return self.next_sequence()

    def next_sequence(self) -> int:
        """The number of the next message; after a loss it restarts above every earlier number."""
        begins = self.sequence == 0 and "sequence-start" not in self.without
        self.sequence = round(self.clock() * 1e6) if begins else self.sequence + 1
        return self.sequence
