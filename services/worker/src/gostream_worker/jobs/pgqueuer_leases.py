"""PgQueuer with leases that outlive its heartbeats, and with slots that a worker can close."""

import asyncio
import json
from asyncio import Task
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Context, Job, TableChangedEvent, TracebackRecord, utc_now
from pgqueuer.domain.types import JOB_STATUS, HealthCheckId, JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter

from gostream_shared.db.listen import SharedListener

#: Interval at which room on the disk is polled.
_NO_ROOM_PAUSE = timedelta(seconds=0.5)


@dataclass(frozen=True)
class _Relay:
    """A listener that passes notifications on, except those of removed jobs: they leave nothing to claim.

    Equal relays are one listener.
    """

    callback: NotifyCallback

    def __call__(self, connection: object, pid: object, channel: object, payload: object) -> None:
        if isinstance(payload, str) and not _is_removal(payload):
            self.callback(payload)


def _is_removal(payload: str) -> bool:
    try:
        event = json.loads(payload)
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("operation") == "delete"


class _ListeningDriver(AsyncpgPoolDriver):
    """PgQueuer's driver, with an event that is set once it listens.

    PgQueuer would listen on a connection of the pool, one for each manager; a pooler delivers nothing there.
    """

    def __init__(self, pool: asyncpg.Pool, listener: SharedListener) -> None:
        super().__init__(pool)
        self.listens = asyncio.Event()
        self._listener = listener
        self._added: list[tuple[str, _Relay]] = []

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._listener.add(channel, _Relay(callback))
        self._added.append((channel, _Relay(callback)))
        self.listens.set()

    def hear(self, payload: str) -> None:
        """Handles a notification of this process, without the database."""
        for _, relay in self._added:
            relay.callback(payload)

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._listener.remove(channel, _Relay(callback))

    async def __aexit__(self, *cause: object) -> None:
        await super().__aexit__(*cause)
        for channel, relay in self._added:
            await self._listener.remove(channel, relay)


class LeasedQueries(Queries):
    """PgQueuer's SQL, except that only a job's owner settles it, and only after success.

    PgQueuer settles by id alone, so a worker that slept through a take-over would delete its successor's job.
    It also drops a job whose settling failed; here the lease runs out and the job is delivered again.
    """

    def __init__(self, pool: asyncpg.Pool, listener: SharedListener) -> None:
        driver = _ListeningDriver(pool, listener)
        super().__init__(driver)
        self._listens = driver.listens
        self._hear = driver.hear

    async def notify_health_check(self, health_check_event_id: HealthCheckId) -> None:
        """Waits until the driver listens.

        PgQueuer sends its first probe before that, and ends the manager if the probe is not received.
        """
        await self._listens.wait()
        await super().notify_health_check(health_check_event_id)

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        """Claims jobs of `entrypoints`. Asks the database only if there are any."""
        if not entrypoints:
            return []
        return await super().dequeue(
            batch_size, entrypoints, queue_manager_id, global_concurrency_limit, heartbeat_timeout
        )

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
        """Sends the notification for a released job.

        PgQueuer's statement trigger sends none, because its OLD and NEW are null.
        """
        await self.driver.notify(self.qbe.settings.channel, self._change())

    def wake(self) -> None:
        """Lets the manager of these queries look for jobs at once."""
        self._hear(self._change())

    def _change(self) -> str:
        event = TableChangedEvent(
            channel=self.qbe.settings.channel,
            sent_at=utc_now(),
            type="table_changed_event",
            operation="update",
            table=self.qbe.settings.queue_table,
        )
        return event.model_dump_json(exclude={"received_at"})

    async def _renew_lease(self, job: Job) -> bool:
        """Renews the lease. Returns whether this worker still owns the job."""
        table = self.qbe.qualified.queue_table
        rows = await self.driver.fetch(
            f"UPDATE {table} SET heartbeat = now() WHERE id = $1 AND queue_manager_id = $2 RETURNING id",  # noqa: S608
            job.id,
            job.queue_manager_id,
        )
        return bool(rows)


class SlottedManager(QueueManager):
    """A queue manager that claims nothing without a free slot or without disk space.

    PgQueuer's own limit starts at two jobs per worker, and its limit per entrypoint applies to all workers
    together.
    """

    queries: LeasedQueries
    slots = 1
    has_room: Callable[[], bool] = staticmethod(lambda: True)

    def entrypoints_below_capacity_limits(self) -> set[QueueEntrypoint]:
        is_open = self._has_slot() and self.has_room()
        return super().entrypoints_below_capacity_limits() if is_open else set()

    def forget_job(self, job_id: JobId, context: Context, task: Task[None]) -> None:
        """Frees the slot of a job, and wakes the manager for the next one.

        The notification of the job's removal is no such event: it arrives before the slot is free.
        """
        super().forget_job(job_id, context, task)
        self.queries.wake()

    def _has_slot(self) -> bool:
        return len(self.job_context) < self.slots

    async def _effective_dequeue_timeout(self, dequeue_timeout: timedelta) -> timedelta:
        """Does not poll without a free slot, whose event comes, and seldom without disk space.

        PgQueuer would poll the waiting jobs ten times a second.
        """
        if not self._has_slot():
            return dequeue_timeout
        if not self.has_room():
            return min(dequeue_timeout, _NO_ROOM_PAUSE)
        return await super()._effective_dequeue_timeout(dequeue_timeout)
