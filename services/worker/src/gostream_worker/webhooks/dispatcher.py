"""Turns events into deliveries, and makes the ones that are due."""

import asyncio
from datetime import timedelta

import structlog

from gostream_shared.concurrency import wait_at_most
from gostream_shared.domain.companions.webhooks import Answer, Deliveries, Try
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_worker.metrics import WEBHOOK_DELIVERIES, WEBHOOK_SECONDS
from gostream_worker.retry import backoff, patiently
from gostream_worker.webhooks.sender import TIMEOUT, Sender

_log = structlog.stdlib.get_logger("gostream.webhooks")

#: Tries of one webhook that all workers together have in flight.
AT_ONCE = 4
#: Failures in a row after which a webhook gets one try at a time, and a pause after each.
FAILING = 5
#: Longer than a try: a lease that ends makes its delivery due again, with any worker.
LEASE = timedelta(seconds=2 * TIMEOUT)
#: Seconds between two looks while nothing is due.
_PAUSE = 0.5
_EVENTS = 200
#: Answers that are recorded at the same time: encodes need the other connections to renew their leases.
_SETTLES = 2
#: Seconds for recording an answer while the database is away; the lease ends soon after.
_PATIENCE = 10.0


class Dispatcher:
    """Delivers until `stop` is called. Any number of workers may run one; with 0 slots it does nothing."""

    def __init__(
        self,
        deliveries: Deliveries,
        sender: Sender,
        *,
        slots: int = 64,
        lease: timedelta = LEASE,
        pause: float = _PAUSE,
    ) -> None:
        self._slots = slots
        self._deliveries = deliveries
        self._sender = sender
        self._lease = lease
        self._pause = pause
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._settling = asyncio.Semaphore(_SETTLES)

    async def run(self) -> None:
        """Delivers until `stop` is called, then waits for the tries in flight."""
        if not self._slots:
            return
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                is_busy = await self._turn()
            except BackendUnavailableError as error:
                _log.warning("webhooks not delivered", error=str(error))
                await wait_at_most(self._stopping, backoff(0))
                continue
            if not is_busy:
                await wait_at_most(self._wake, self._pause)
        if self._running:
            await asyncio.wait(self._running)

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    async def _turn(self) -> bool:
        """Returns whether there may be more to do at once. Raises BackendUnavailableError."""
        events = await self._deliveries.fan_out(_EVENTS)
        free = self._slots - len(self._running)
        claimed = (
            await self._deliveries.claim(limit=free, at_once=AT_ONCE, lease=self._lease, failing=FAILING)
            if free
            else []
        )
        for one in claimed:
            task = asyncio.create_task(self._deliver(one))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return events == _EVENTS or bool(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            _log.error("delivery failed", exc_info=error)

    async def _deliver(self, one: Try) -> None:
        answer = await self._sender.send(one)
        try:
            is_dead = await patiently(lambda: self._settle(one, answer), patience=_PATIENCE)
        except BackendUnavailableError as error:
            _log.warning("answer not recorded; it is delivered again", error=str(error))
            return
        outcome = "dead" if is_dead else "failed" if answer.error else "delivered"
        WEBHOOK_DELIVERIES.labels(outcome).inc()
        WEBHOOK_SECONDS.observe(answer.took.total_seconds())
        if answer.error:
            _log.info(
                "delivery dead" if is_dead else "delivery failed",
                webhook_id=str(one.webhook_id),
                delivery_id=str(one.delivery_id),
                attempt=one.attempt,
                error=answer.error,
            )

    async def _settle(self, one: Try, answer: Answer) -> bool:
        async with self._settling:
            return await self._deliveries.settle(one, answer, failing=FAILING)
