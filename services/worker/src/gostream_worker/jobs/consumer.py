"""Claims jobs: PgQueuer's queue managers with the leases and slots that encodes need."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import structlog
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job
from pydantic import ValidationError

from gostream_shared.concurrency import task_group, wait_at_most
from gostream_shared.db.listen import SharedListener
from gostream_worker.jobs.pgqueuer_buffers import wake_seldom
from gostream_worker.jobs.pgqueuer_leases import LeasedQueries, SlottedManager
from gostream_worker.jobs.verdict import Verdict
from gostream_worker.retry import backoff

_log = structlog.stdlib.get_logger("gostream.consumer")

#: Errors of the queue when its database is unavailable. asyncpg reports a connection that breaks in the
#: middle of an operation as an internal error.
_QUEUE_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    FailingListenerError,
)
#: Delay before an unreadable job is offered again: workers of another version may read it.
_UNREADABLE_PAUSE = timedelta(minutes=1)
_AnyJob = TypeVar("_AnyJob")
#: Runs one kind of job, given its payload.
Handler = Callable[[bytes], Coroutine[Any, Any, Verdict]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job: its handler, how many run together, and whether one more may be claimed now.

    Kinds with the same `pool` share the slots and the room of the first one of them, and the best of their
    jobs is claimed. Without a pool, a kind has its own.
    """

    handler: Handler
    slots: int
    has_room: Callable[[], bool] = lambda: True
    pool: str = ""


class Consumer:
    """Runs jobs until `stop` is called, and releases the jobs that are then unfinished.

    `kinds` maps the entry points of the queue to the kinds of job behind them.
    """

    def __init__(
        self, pool: asyncpg.Pool, kinds: Mapping[str, JobKind], *, listener: SharedListener, lease: timedelta
    ) -> None:
        wake_seldom()
        self._pool = pool
        self._listener = listener
        self._kinds = kinds
        self._lease = lease
        self._stopping = asyncio.Event()
        self._managers: dict[str, QueueManager] = {}
        self._running: set[asyncio.Task[Verdict]] = set()

    async def run(self) -> None:
        """Consumes until `stop` is called and every job in progress is settled or released."""
        async with self._listener, task_group() as tasks:
            for name, kinds in _pools(self._kinds).items():
                tasks.create_task(self._keep_consuming(name, kinds), name=name)

    def stop(self) -> None:
        """Stops claiming and releases the jobs in progress. Other workers receive them immediately."""
        self._stopping.set()
        for manager in self._managers.values():
            manager.shutdown.set()
        for task in self._running:
            task.cancel()

    async def _keep_consuming(self, name: str, kinds: Mapping[str, JobKind]) -> None:
        """Runs managers for one pool.

        A manager that lost the database settles its jobs as far as possible and ends; a new manager replaces
        it.
        """
        while not self._stopping.is_set():
            manager = self._manager(kinds)
            self._managers[name] = manager
            try:
                await manager.run(
                    batch_size=1,
                    # Take-overs send no notification and are found by polling.
                    dequeue_timeout=self._lease / 2,
                    heartbeat_timeout=self._lease,
                    shutdown_on_listener_failure=True,
                )
            except _QUEUE_LOST as error:
                _log.warning("queue lost", entrypoint=name, error=str(error) or type(error).__name__)
                await wait_at_most(self._stopping, backoff(0))

    def _manager(self, kinds: Mapping[str, JobKind]) -> QueueManager:
        manager = SlottedManager(LeasedQueries(self._pool, self._listener))
        first = next(iter(kinds.values()))
        manager.slots, manager.has_room = first.slots, first.has_room
        for entrypoint, kind in kinds.items():
            manager.entrypoint(entrypoint, accepts_context=False)(self._deliverer(kind))
        return manager

    def _deliverer(self, kind: JobKind) -> Callable[[Job], Coroutine[Any, Any, None]]:
        async def deliver(job: Job) -> None:
            await self._deliver(kind.handler(job.payload or b""))

        return deliver

    async def _deliver(self, work: Coroutine[Any, Any, Verdict]) -> None:
        """Runs a job so that `stop` can cancel it.

        Raises RetryRequested if the job must be delivered again.
        """
        task = asyncio.ensure_future(work)
        self._running.add(task)
        if self._stopping.is_set():
            task.cancel()
        try:
            verdict = await task
        except asyncio.CancelledError:
            if self._stopping.is_set():
                raise RetryRequested(timedelta(0), "the worker is stopping") from None
            raise
        finally:
            self._running.discard(task)
        if verdict.again_in is not None:
            raise RetryRequested(verdict.again_in)


def _pools(kinds: Mapping[str, JobKind]) -> dict[str, dict[str, JobKind]]:
    """Returns the kinds of each pool by its name."""
    pools: dict[str, dict[str, JobKind]] = {}
    for entrypoint, kind in kinds.items():
        pools.setdefault(kind.pool or entrypoint, {})[entrypoint] = kind
    return pools


def reading(read: Callable[[bytes], _AnyJob], handle: Callable[[_AnyJob], Awaitable[Verdict]]) -> Handler:
    """Returns a handler that decodes the payload first; an unreadable job is offered again later."""

    async def handler(payload: bytes) -> Verdict:
        try:
            job = read(payload)
        except ValidationError:
            _log.exception("unreadable job", payload=payload[:200])
            return Verdict(_UNREADABLE_PAUSE)
        return await handle(job)

    return handler
