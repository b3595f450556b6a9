"""The Lua scripts in Python: the simulator runs on them, and the real ones are compared with them.

`without` names rules to leave out, so that the proof can show that each of them is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from gostream_shared.cache.protocol import CacheUnavailableError, Entry, Filled, Hit, Lease, Lookup, Wait
from gostream_shared.cache.redis_cache import CacheTimes


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
        """As HDEL of entry and lease."""
        self.entry, self.fresh_until, self.cost = None, 0.0, 0.0
        self.lease, self.lease_until = None, 0.0


@dataclass(slots=True)
class ModelRedis:
    """One server. Every method is one script, and so atomic."""

    clock: Callable[[], float]
    times: CacheTimes
    without: frozenset[str] = frozenset()
    keys: dict[UUID, Key] = field(default_factory=dict)
    sequence: int = 0  # 0 = lost: flushed, or never begun
    beat_at: float = float("-inf")

    def key(self, video_id: UUID) -> Key | None:
        """The key unless it expired."""
        found = self.keys.get(video_id)
        if found is not None and self.clock() >= found.expires:
            del self.keys[video_id]
            return None
        return found

    def get_or_lease(
        self, video_id: UUID, token: str, *, epoch: int, min_version: int = 0, refresh: bool = False
    ) -> Lookup:
        now, key = self.clock(), self.key(video_id)
        if key is not None and key.epoch is not None and key.epoch != epoch:
            if key.epoch > epoch:
                raise CacheUnavailableError("behind")
            key = None
        if key is None:
            key = self.keys[video_id] = Key()
        usable = self._usable(key, min_version, now)
        leased = key.lease is not None and key.lease_until > now
        fresh = key.fresh_until - now
        if usable is not None and (leased or (fresh > 0 and not refresh)):
            return Hit(usable, fresh_for=fresh, cost=key.cost)
        if leased and "one-lease" not in self.without:
            return Wait()
        key.epoch, key.lease, key.lease_until = epoch, token, now + self.times.lease
        if key.expires == float("inf") or key.expires - now < self.times.lease:
            key.expires = now + self.times.lease
        return Lease(token, usable)

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
        key.lease, key.lease_until = None, 0.0
        if entry.version < key.floor and "fill-floor" not in self.without:
            return Filled.FLOOR
        key.entry, key.cost = entry, cost
        key.floor = entry.version
        key.fresh_until, key.expires = now + ttl * self.times.fresh, now + ttl
        self.keys[video_id] = key
        return Filled.OK

    def invalidate(self, video_id: UUID, version: int) -> int:
        """Answers the sequence number of the message that is published."""
        key = self.key(video_id) or Key()
        if version > key.floor:
            self.keys[video_id] = key
            key.floor = version
            lease = key.lease, key.lease_until
            key.drop()
            if "invalidate-lease" in self.without:
                key.lease, key.lease_until = lease
            key.expires = self.clock() + self.times.tombstone
        return self.next_sequence()

    def beat(self, interval: float) -> int | None:
        """The sequence number of a heartbeat, None when there was one lately."""
        now = self.clock()
        if 0 <= now - self.beat_at < interval:
            return None
        self.beat_at = now
        return self.next_sequence()

    def next_sequence(self) -> int:
        """The number of the next message; after a loss it begins where no number was before."""
        begins = self.sequence == 0 and "sequence-start" not in self.without
        self.sequence = round(self.clock() * 1e6) if begins else self.sequence + 1
        return self.sequence
