"""The mutation gate: removes each rule of the protocol and expects the proof to fail."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any
from unittest.mock import patch
from uuid import UUID

from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.local_cache import LocalCache, LocalEntry, Ticket
from gostream_api.reads.read_through import Found, ReadThrough
from gostream_api.reads.singleflight import SingleFlight
from gostream_shared.cache.bus.bus import Bus
from gostream_shared.cache.bus.liveness import Liveness, Loss
from gostream_shared.cache.bus.messages import Change, Heartbeat
from gostream_shared.cache.entries.epoch import EpochState
from gostream_shared.cache.outbox.relay import OutboxRelay
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.protocol import CacheUnavailableError, Subscribed
from tests.support.script_model import ModelRedis

Patch = tuple[type | object, str, object]


@dataclass(frozen=True)
class Mutant:
    """One removed rule: of the model by name, or of the production code by patches.

    `seed` detects the mutant; if it no longer does, other seeds are tried.
    """

    rule: str
    seed: int
    without: frozenset[str] = frozenset()
    patches: tuple[Patch, ...] = ()

    @contextmanager
    def alive(self) -> Iterator[None]:
        undo = [patch.object(*each) for each in self.patches]
        for each in undo:
            each.start()
        try:
            yield
        finally:
            for each in undo:
                each.stop()


def _model(rule: str, seed: int) -> Mutant:
    return Mutant(rule, seed, without=frozenset({rule}))


def _code(rule: str, seed: int, *patches: Patch) -> Mutant:
    return Mutant(rule, seed, patches=patches)


def _get_any_version(original: Callable[..., object]) -> Callable[..., object]:
    return lambda self, video_id, min_version=0: original(self, video_id, 0)


def _ticket_of_epoch(self: LocalCache, video_id: object) -> Ticket:
    return Ticket(self._epoch, 0)


async def _load_with_late_ticket(
    self: CachedVideoService, video_id: object, *, refresh: bool = False
) -> object:
    found = await self._reads.read(video_id, refresh=refresh)  # type: ignore[arg-type]
    result = self._result(found)
    if found.shareable:
        ticket = self._local.ticket(video_id)  # type: ignore[arg-type]
        self._local.store(video_id, ticket, result.entry, found.fresh_for)  # type: ignore[arg-type]
    return result


def _keep_on_invalidate(self: LocalCache, video_id: object, version: int) -> None:
    self._generations[video_id.int % 4096] += 1  # type: ignore[attr-defined]


def _change_without_forget(self: CachedVideoService, video_id: object, version: int) -> None:
    self._local.invalidate(video_id, version)  # type: ignore[arg-type]


def reset_without_forget(self: CachedVideoService) -> None:
    self._local.clear()


def _clear_epoch_only(self: LocalCache) -> None:
    self._epoch += 1


def _ticket_of_generation(self: LocalCache, video_id: UUID) -> Ticket:
    return Ticket(0, self._generations[video_id.int % 4096])


def _always_live(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: LocalCache, **options: object) -> None:
        original(self, **options | {"live_until": lambda: inf})

    return init


def _any_age(original: Callable[..., None]) -> Callable[..., None]:
    return lambda self, **_: original(self)


def run_whenever(self: SingleFlight[Any, Any], mark: int, key: UUID, load: Any, is_enough: object) -> object:
    return self.run(key, load)


def _handle_without_flush(original: Callable[..., None]) -> Callable[..., None]:
    def handle(self: Bus, item: Subscribed | str) -> None:
        if isinstance(item, Subscribed) and self._liveness.proven:
            return  # the mutant ignores that the driver reconnected
        original(self, item)

    return handle


def _reset_only_if(condition: Callable[[Loss], bool]) -> Callable[..., None]:
    def reset(self: Bus, loss: Loss) -> None:
        if condition(loss):
            for listener in self._listeners:
                listener.reset()

    return reset


def _extend_by_arrival(self: Liveness) -> None:
    if self.proven:
        self.until = self._clock() + self._max_silence


def _extend_for_ever(self: Liveness) -> None:
    if self.proven:
        self.until = inf


def _receive_without_gap(original: Callable[..., Loss | None]) -> Callable[..., Loss | None]:
    def heard(self: Liveness, message: Change | Heartbeat) -> Loss | None:
        self._sequence = None
        return original(self, message)

    return heard


def _share_everything(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Found, entry: object, layer: object, shareable: bool, **others: object) -> None:
        original(self, entry, layer, True, **others)

    return init


def _usable_below_the_floor(self: ModelRedis, key: object, min_version: int, now: float) -> object:
    entry = key.entry  # type: ignore[attr-defined]
    return entry if entry is not None and entry.version >= min_version else None


def _raise_floor_only(self: ModelRedis, video_id: object, version: int) -> None:
    key = self.key(video_id)  # type: ignore[arg-type]
    if key is not None:
        key.floor = max(key.floor, version)


async def _primary_from_anywhere(self: ReadThrough, video_id: object) -> Found:
    return await self.read(video_id)  # type: ignore[arg-type]


def _look_without_floors(self: Unannounced, unsettled: object, *, asked: float) -> dict[UUID, int]:
    self._extend(asked)
    return {}


def _look_without_news(original: Callable[..., object]) -> Callable[..., object]:
    def look(self: Unannounced, unsettled: object, *, asked: float) -> dict[UUID, int]:
        original(self, unsettled, asked=asked)
        return {}

    return look


def _look_at_few(original: Callable[..., object]) -> Callable[..., object]:
    return lambda self, unsettled, *, asked: original(self, unsettled or {}, asked=asked)


def floor_as_known(self: Unannounced, video_id: UUID) -> int:
    if self._is_flooded:
        raise CacheUnavailableError("flooded")
    return self._floors.get(video_id, 0)


def _store_older_too(
    self: LocalCache, video_id: object, ticket: Ticket, entry: LocalEntry, fresh_for: float = 0.0
) -> bool:
    self._entries[video_id.int] = entry  # type: ignore[attr-defined]
    self._date(entry, self._clock(), fresh_for)
    return True


MUTANTS = (
    _model("fill-lease", 13),
    _model("fill-floor", 1),
    _model("fresh-token", 13),
    _model("sequence-start", 64),
    _model("publish", 0),
    _model("floor-first", 12),
    _model("peek-epoch", 13),
    _model("peek-version", 217),
    _model("relay", 14),
    Mutant("rows that nobody announces are not left", 4, frozenset({"election"}),
           ((OutboxRelay, "_is_left", lambda self: False),)),
    _code("pending announcements bypass Redis", 117, (Unannounced, "look", _look_without_floors)),
    _code("pending announcements drop L1 entries", 175,
          (Unannounced, "look", _look_without_news(Unannounced.look))),
    _code("outbox overflow bypasses Redis", 37,
          (Unannounced, "look", _look_at_few(Unannounced.look))),
    _code("outbox overflow drops L1 entries", 2538, (Bus, "unannounced", lambda self: None)),
    _code(
        "readers check the floor", 0,
        (ModelRedis, "_usable", _usable_below_the_floor),
        (ModelRedis, "raise_floor", _raise_floor_only),
    ),
    _code("generation of an L1 fill", 6, (LocalCache, "ticket", _ticket_of_epoch)),
    _code("ticket before the read", 6, (CachedVideoService, "_load", _load_with_late_ticket)),
    _code("L1 fills are checked", 2, (LocalCache, "store", _store_older_too)),
    _code("a message drops the entry", 0, (LocalCache, "invalidate", _keep_on_invalidate)),
    _code("a message detaches the flight", 2, (CachedVideoService, "changed", _change_without_forget)),
    _code("a reset ends L1 entries", 6, (LocalCache, "clear", _clear_epoch_only)),
    _code("epoch of an L1 fill", 68, (LocalCache, "ticket", _ticket_of_generation)),
    _code("L1 serves only while live", 0, (LocalCache, "__init__", _always_live(LocalCache.__init__))),
    _code("old loads are not joined", 595,
          (SingleFlight, "__init__", _any_age(SingleFlight.__init__))),
    _code("an acknowledgement or a gap flushes", 11, (Bus, "_handle", _handle_without_flush(Bus._handle)),
          (Liveness, "receive", _receive_without_gap(Liveness.receive))),
    _code("a lost connection flushes", 3, (Bus, "_reset", _reset_only_if(lambda loss: loss is Loss.GAP))),
    _code("a gap flushes", 320, (Liveness, "receive", _receive_without_gap(Liveness.receive))),
    _code("silence disables L1", 0, (Liveness, "_extend", _extend_for_ever)),
    _code("silence counts from publication", 391, (Liveness, "_extend", _extend_by_arrival)),
    _code("a failover starts an epoch", 13, (EpochState, "admits", lambda self, server: True),
          (EpochState, "confirm", lambda self, epoch, server: setattr(self, "_epoch", 1))),
    _code("L1 keeps only what Redis stored", 1, (Found, "__init__", _share_everything(Found.__init__))),
    _code("min_version of L1 entries", 1, (LocalCache, "get", _get_any_version(LocalCache.get))),
    _code("min_version reads the primary", 2, (ReadThrough, "read_primary", _primary_from_anywhere)),
)  # fmt: skip
