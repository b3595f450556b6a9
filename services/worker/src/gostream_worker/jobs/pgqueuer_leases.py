"""PgQueuer with leases that outlive its heartbeats, and with slots that a worker can close."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver, Relay
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Job, TableChangedEvent, TracebackRecord, utc_now
from pgqueuer.domain.types import JOB_STATUS, HealthCheckId, QueueEntrypoint
from pgqueuer.ports.driver import NotifyCallback

from gostream_shared.db.listen import SharedListener

#: Interval at which a free slot is polled.
_FULL_PAUSE = timedelta(seconds=0.5)


class _ListeningDriver(AsyncpgPoolDriver):
    """PgQueuer's driver, with an event that is set once it listens.

    PgQueuer would listen on a connection of the pool, one for each manager; a pooler delivers nothing there.
    """

    def __init__(self, pool: asyncpg.Pool, listener: SharedListener) -> None:
        super().__init__(pool)
        self.listens = asyncio.Event()
        self._listener = listener
        self._added: list[tuple[str, Relay]] = []

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._listener.add(channel, Relay(callback))
        self._added.append((channel, Relay(callback)))
        self.listens.set()

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._listener.remove(channel, Relay(callback))

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

    async def notify_health_check(self, health_check_event_id: HealthCheckId) -> None:
        """Waits until the driver listens.

        PgQueuer sends its first probe before that, and ends the manager if the probe is not received.
        """
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
        """Sends the notification for a released job.

        PgQueuer's statement trigger sends none, because its OLD and NEW are null.
        """
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

    slots = 1
    has_room: Callable[[], bool] = staticmethod(lambda: True)

    def entrypoints_below_capacity_limits(self) -> set[QueueEntrypoint]:
        return super().entrypoints_below_capacity_limits() if self._may_claim() else set()

    def _may_claim(self) -> bool:
        return len(self.job_context) < self.slots and self.has_room()

    async def _effective_dequeue_timeout(self, dequeue_timeout: timedelta) -> timedelta:
        """Polls less often while no job may be claimed.

        PgQueuer would poll the waiting jobs ten times a second.
        """
        if not self._may_claim():
            return min(dequeue_timeout, _FULL_PAUSE)
        return await super()._effective_dequeue_timeout(dequeue_timeout)
