"""Claiming jobs: PgQueuer's queue managers, with the leases and the slots that encodes need."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job, TableChangedEvent, TracebackRecord, utc_now
from pgqueuer.domain.types import JOB_STATUS, HealthCheckId, QueueEntrypoint
from pgqueuer.ports.driver import NotifyCallback
from pydantic import ValidationError

from gostream_shared.domain.jobs import RemoveJob, TranscodeJob
from gostream_shared.jobs.pgqueuer import REMOVE, TRANSCODE, remove_job, transcode_job
from gostream_worker.concurrency import task_group, wait_at_most
from gostream_worker.jobs.attempts import Verdict
from gostream_worker.jobs.pgqueuer_buffers import wake_seldom
from gostream_worker.retry import backoff

_log = structlog.stdlib.get_logger("gostream.consumer")

#: What the queue raises when its database is out of reach. A connection that breaks in the middle of an
#: operation is an internal error to asyncpg.
_QUEUE_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    FailingListenerError,
)
_REMOVALS = 2
#: Between two looks at whether a slot is free.
_FULL_PAUSE = timedelta(seconds=0.5)
#: Before a job that cannot be read is offered to others again: their version may know it.
_UNREADABLE_PAUSE = timedelta(minutes=1)
_AnyJob = TypeVar("_AnyJob")
#: Does the work of one kind of job, given its payload.
Handler = Callable[[bytes], Coroutine[Any, Any, Verdict]]


class _ListeningDriver(AsyncpgPoolDriver):
    """PgQueuer's driver, which knows whether it listens yet."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.listens = asyncio.Event()

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await super().add_listener(channel, callback)
        self.listens.set()


class LeasedQueries(Queries):
    """PgQueuer's SQL, except that only the owner of a job settles it, and only success settles it.

    PgQueuer settles by id alone: a worker that slept through a take-over would delete the job from under its
    successor. And a job whose settling failed would be dropped; here its lease runs out instead, and the job
    is delivered again.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        driver = _ListeningDriver(pool)
        super().__init__(driver)
        self._listens = driver.listens

    async def notify_health_check(self, health_check_event_id: HealthCheckId) -> None:
        """PgQueuer sends its first probe while it is about to listen: unheard, it ends the manager."""
        await self._listens.wait()
        await super().notify_health_check(health_check_event_id)

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        owned = [
            entry for entry in job_status if entry[1] == "successful" and await self._renew_lease(entry[0])
        ]
        if owned:
            await super().log_jobs(owned)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        if await self._renew_lease(job):
            await super().retry_job(job, delay, None)
            await self._wake_idle_workers()

    async def _wake_idle_workers(self) -> None:
        """PgQueuer's trigger is silent when a job is put back: its OLD and NEW are null for a statement."""
        channel = self.qbe.settings.channel
        event = TableChangedEvent(
            channel=channel,
            sent_at=utc_now(),
            type="table_changed_event",
            operation="update",
            table=self.qbe.settings.queue_table,
        )
        await self.driver.notify(channel, event.model_dump_json(exclude={"received_at"}))

    async def _renew_lease(self, job: Job) -> bool:
        """Whether the job is still this worker's; if so nobody takes it over for another while."""
        table = self.qbe.qualified.queue_table
        rows = await self.driver.fetch(
            f"UPDATE {table} SET heartbeat = now() WHERE id = $1 AND queue_manager_id = $2 RETURNING id",  # noqa: S608
            job.id,
            job.queue_manager_id,
        )
        return bool(rows)


class SlottedManager(QueueManager):
    """A queue manager that claims nothing while all its slots are taken or there is no room.

    PgQueuer's own bound starts at two jobs per worker, and its limit per entrypoint is one for all workers.
    """

    slots = 1
    has_room: Callable[[], bool] = staticmethod(lambda: True)

    def entrypoints_below_capacity_limits(self) -> set[QueueEntrypoint]:
        return super().entrypoints_below_capacity_limits() if self._may_claim() else set()

    def _may_claim(self) -> bool:
        return len(self.job_context) < self.slots and self.has_room()

    async def _effective_dequeue_timeout(self, dequeue_timeout: timedelta) -> timedelta:
        """While nothing may be claimed PgQueuer would look ten times a second at the jobs that wait."""
        if not self._may_claim():
            return min(dequeue_timeout, _FULL_PAUSE)
        return await super()._effective_dequeue_timeout(dequeue_timeout)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of job: the work, how many at once, and whether one more may be claimed now."""

    handler: Handler
    slots: int
    has_room: Callable[[], bool]


class Consumer:
    """Runs jobs until it is told to stop, and gives back what it has not finished then."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        transcode: Callable[[TranscodeJob], Awaitable[Verdict]],
        remove: Callable[[RemoveJob], Awaitable[Verdict]],
        slots: int,
        lease: timedelta,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        wake_seldom()
        self._pool = pool
        self._kinds = {
            TRANSCODE: _Kind(_reading(transcode_job, transcode), slots, has_room),
            REMOVE: _Kind(_reading(remove_job, remove), _REMOVALS, lambda: True),
        }
        self._lease = lease
        self._stopping = asyncio.Event()
        self._managers: dict[str, QueueManager] = {}
        self._running: set[asyncio.Task[Verdict]] = set()

    async def run(self) -> None:
        """Consume until `stop` is called and everything at work is settled or given back."""
        async with task_group() as tasks:
            for entrypoint, kind in self._kinds.items():
                tasks.create_task(self._keep_consuming(entrypoint, kind), name=entrypoint)

    def stop(self) -> None:
        """Claim nothing more, and give back what is at work: other workers get it at once."""
        self._stopping.set()
        for manager in self._managers.values():
            manager.shutdown.set()
        for task in self._running:
            task.cancel()

    async def _keep_consuming(self, entrypoint: str, kind: "_Kind") -> None:
        """A manager that lost the database settles what it can and ends; a new one takes its place."""
        while not self._stopping.is_set():
            manager = self._manager(entrypoint, kind)
            self._managers[entrypoint] = manager
            try:
                await manager.run(
                    batch_size=1,
                    # Take-overs raise no notification: they are found by looking.
                    dequeue_timeout=self._lease / 2,
                    heartbeat_timeout=self._lease,
                    shutdown_on_listener_failure=True,
                )
            except _QUEUE_LOST as error:
                _log.warning("queue lost", entrypoint=entrypoint, error=str(error) or type(error).__name__)
                await wait_at_most(self._stopping, backoff(0))

    def _manager(self, entrypoint: str, kind: "_Kind") -> QueueManager:
        manager = SlottedManager(LeasedQueries(self._pool))
        manager.slots, manager.has_room = kind.slots, kind.has_room

        @manager.entrypoint(entrypoint, accepts_context=False)
        async def deliver(job: Job) -> None:
            await self._deliver(kind.handler(job.payload or b""))

        return manager

    async def _deliver(self, work: Coroutine[Any, Any, Verdict]) -> None:
        """Do the work so that `stop` can end it. Raises RetryRequested for what is to be delivered again."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        if self._stopping.is_set():
            task.cancel()
        try:
            verdict = await task
        except asyncio.CancelledError:
            if self._stopping.is_set():
                raise RetryRequested(timedelta(0), "the worker stops") from None
            raise
        finally:
            self._running.discard(task)
        if verdict.again_in is not None:
            raise RetryRequested(verdict.again_in)


def _reading(read: Callable[[bytes], _AnyJob], handle: Callable[[_AnyJob], Awaitable[Verdict]]) -> Handler:
    async def handler(payload: bytes) -> Verdict:
        try:
            job = read(payload)
        except ValidationError:
            _log.exception("a job that cannot be read", payload=payload[:200])
            return Verdict(_UNREADABLE_PAUSE)
        return await handle(job)

    return handler
