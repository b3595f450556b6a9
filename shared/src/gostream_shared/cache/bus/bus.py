"""One process's end of the invalidation bus: subscribes, proves liveness, listens, sends heartbeats."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from time import monotonic
from uuid import UUID

import structlog

from gostream_shared.cache.bus.liveness import MAX_SILENCE, Liveness, Loss
from gostream_shared.cache.bus.messages import Change, parse_message
from gostream_shared.cache.metrics import BUS_EPOCH, BUS_GAPS, BUS_LIVE, STALENESS
from gostream_shared.cache.protocol import BusListener, BusTransport, CacheUnavailableError, Subscribed

_log = structlog.get_logger(__name__)

#: Seconds between heartbeats, all processes together.
BEAT_INTERVAL = 1.0
_BACKOFF = (0.05, 0.1, 0.2, 0.5)


class Bus:
    """Notifies its listeners of every change, or resets them if messages may have been lost.

    Listeners have received all changes up to `MAX_SILENCE` before `live_until`.
    """

    def __init__(
        self,
        transport: BusTransport,
        *,
        unsequenced: Callable[[str], None],
        accepted: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
        beat_interval: float = BEAT_INTERVAL,
        max_silence: float = MAX_SILENCE,
    ) -> None:
        self._transport = transport
        self._unsequenced = unsequenced  # receives messages of other channels
        self._accepted = accepted  # receives the time of a heartbeat that Redis accepted
        self._clock = clock
        self._beat_interval = beat_interval
        self._liveness = Liveness(clock, max_silence=max_silence)
        self._listeners: list[BusListener] = []
        self._beat_now = asyncio.Event()

    @property
    def live_until(self) -> float:
        """The time until which L1 entries may be served. It passes without any action of this process."""
        return self._liveness.until

    @property
    def is_live(self) -> bool:
        return self._clock() < self._liveness.until

    def add(self, listener: BusListener) -> None:
        """Add a listener, and reset it."""
        self._listeners.append(listener)
        listener.reset()

    def remove(self, listener: BusListener) -> None:
        self._listeners.remove(listener)

    def changed(self, video_id: UUID, version: int) -> None:
        """Notify the listeners of a write by this process, before the bus does."""
        for listener in self._listeners:
            listener.changed(video_id, version)

    def epoch_changed(self) -> None:
        """Clear L1: the server of Redis or of the database changed."""
        self._reset(Loss.EPOCH)

    def unannounced(self) -> None:
        """Clear L1: too many videos have unannounced versions to keep track of."""
        self._reset(Loss.UNANNOUNCED)

    async def run(self) -> None:
        """Listen until cancelled. Reconnects after every loss of the connection."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_listening(), name="bus-listen")
            tasks.create_task(self._keep_beating(), name="bus-beat")

    async def _keep_listening(self) -> None:
        failures = 0
        while True:
            loss = Loss.DISCONNECTED
            try:
                async with self._transport.connect() as feed:
                    loss = await self._listen(feed)
            except CacheUnavailableError as error:
                _log.warning("bus lost", error=str(error))
            failures = 0 if self._liveness.proven else failures + 1
            self._liveness.restart()
            self._reset(loss)
            pause = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnections

    async def _listen(self, feed: AsyncIterator[Subscribed | str]) -> Loss:
        """Handle messages until the bus is silent for too long."""
        while True:
            try:
                async with asyncio.timeout(self._liveness.patience - self._clock()):
                    item = await anext(feed)
            except TimeoutError:
                return Loss.SILENCE
            self._handle(item)

    def _handle(self, item: Subscribed | str) -> None:
        if isinstance(item, Subscribed):
            self._liveness.restart()
            self._reset(Loss.SUBSCRIBED)
            self._beat_now.set()
            return
        message = parse_message(item)
        if message is None:
            self._unsequenced(item)
            return
        self._note(self._liveness.receive(message))
        if isinstance(message, Change):
            self.changed(message.video_id, message.version)
            if (age := self._liveness.age(message)) is not None:
                STALENESS.observe(age)
        BUS_LIVE.set(self.is_live)

    def _note(self, loss: Loss | None) -> None:
        if loss is not None:
            self._reset(loss)
        if loss is Loss.SERVER:
            self._beat_now.set()  # prove the new server at once

    async def _keep_beating(self) -> None:
        while True:
            self._beat_now.clear()
            await self._beat()
            try:
                async with asyncio.timeout(self._beat_interval):
                    await self._beat_now.wait()
            except TimeoutError:
                BUS_LIVE.set(self.is_live)

    async def _beat(self) -> None:
        sent = self._clock()
        interval = self._beat_interval * 0.9 if self._liveness.proven else 0.0
        try:
            beat = await self._transport.beat(self._liveness.nonce, interval=interval)
        except CacheUnavailableError:
            return  # silence of the subscription decides whether the bus is lost
        self._accepted(sent - interval)  # the script sends no beat if one was sent within `interval`
        self._note(self._liveness.synchronise(beat, sent=sent))

    def _reset(self, loss: Loss) -> None:
        BUS_GAPS.labels(loss).inc()
        BUS_EPOCH.inc()
        _log.info("L1 cleared", reason=loss)
        for listener in self._listeners:
            listener.reset()
