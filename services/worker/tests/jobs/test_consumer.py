"""Job claims on a real queue: slots, leases, takeovers, releases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import Channel, HealthCheckId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from gostream_devstack.servers.postgres import Postgres
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.jobs import RemoveJob, TranscodeJob
from gostream_shared.jobs.pgqueuer import REMOVE, TRANSCODE, remove_job, transcode_job
from gostream_worker.app import connections
from gostream_worker.jobs.consumer import Consumer, JobKind, reading
from gostream_worker.jobs.pgqueuer_leases import LeasedQueries
from gostream_worker.jobs.verdict import DONE, Verdict
from services.worker.tests.long_leases import shows
from tests.support.pace import slowness

pytestmark = pytest.mark.stack
LEASE = timedelta(seconds=2 * slowness())
#: Leases are renewed with at least a third of their time left, so shorter stalls do not end them.
STALL = LEASE.total_seconds() / 4
LONG_LEASE = timedelta(minutes=5)
Work = Callable[[TranscodeJob], Awaitable[Verdict]]


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 60) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.02)


async def enqueue(database: PostgresDatabase, job: TranscodeJob | RemoveJob | None = None) -> None:
    async with database.transaction() as transaction:
        await transaction.jobs.enqueue(job or TranscodeJob(video_id=uuid4(), number=1))


async def queued(database: PostgresDatabase) -> int:
    return int(await database.pool.fetchval("SELECT count(*) FROM pgqueuer"))


async def remove_nothing(job: RemoveJob) -> Verdict:
    return DONE


@asynccontextmanager
async def consuming(
    database: PostgresDatabase,
    work: Work,
    *,
    slots: int = 1,
    lease: timedelta = LEASE,
    remove: Callable[[RemoveJob], Awaitable[Verdict]] = remove_nothing,
    has_room: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Consumer]:
    """Runs a consumer until the block ends; it must then stop by itself."""
    transcode = JobKind(reading(transcode_job, work), slots, has_room)
    removal = JobKind(reading(remove_job, remove), 2)
    consumer = Consumer(
        database.pool, {TRANSCODE: transcode, REMOVE: removal}, listener=database.listener(), lease=lease
    )
    running = asyncio.ensure_future(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        async with asyncio.timeout(300):
            await running


class Log:
    """Scripted work that records its jobs."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.jobs: list[TranscodeJob] = []
        self._verdicts = list(verdicts)

    async def __call__(self, job: TranscodeJob) -> Verdict:
        self.jobs.append(job)
        return self._verdicts.pop(0) if self._verdicts else DONE


class Endless:
    """Work that never ends. Counts starts and running jobs."""

    def __init__(self) -> None:
        self.begun = 0
        self.at_work = 0

    async def __call__(self, job: TranscodeJob) -> Verdict:
        self.begun += 1
        self.at_work += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work -= 1
        raise AssertionError


async def test_worker_without_disk_space_claims_only_removals(database: PostgresDatabase) -> None:
    log, removed = Log(), asyncio.Event()
    is_free = False

    async def remove(job: RemoveJob) -> Verdict:
        removed.set()
        return DONE

    await enqueue(database)
    await enqueue(database, RemoveJob(video_id=uuid4()))
    async with consuming(database, log, remove=remove, has_room=lambda: is_free):
        async with asyncio.timeout(300):
            await removed.wait()
        assert log.jobs == []
        is_free = True
        await until(lambda: _is(queued(database), 0))

    assert len(log.jobs) == 1


async def test_job_runs_once_and_leaves_the_queue(database: PostgresDatabase) -> None:
    log = Log()
    job = TranscodeJob(video_id=uuid4(), number=7)
    await enqueue(database, job)

    async with consuming(database, log, lease=LONG_LEASE):
        await until(lambda: _is(queued(database), 0))

    assert log.jobs == [job]


async def _is(value: Awaitable[int], expected: int) -> bool:
    return await value == expected


async def test_requeued_job_returns_after_its_delay(database: PostgresDatabase) -> None:
    log = Log(Verdict(timedelta(seconds=0.5)))
    await enqueue(database)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with consuming(database, log, lease=LONG_LEASE):
        await until(lambda: _is(queued(database), 0))

    assert len(log.jobs) == 2
    assert loop.time() - began >= 0.5


async def test_idle_worker_claims_a_requeued_job_on_time(database: PostgresDatabase) -> None:
    first, second = Log(Verdict(timedelta(seconds=2))), Log()
    await enqueue(database)
    async with consuming(database, first, lease=LONG_LEASE) as consumer:
        await until(lambda: _reached(lambda: len(first.jobs) == 1))
        async with consuming(database, second, lease=LONG_LEASE):
            consumer.stop()
            await until(lambda: _reached(lambda: len(second.jobs) == 1))


async def test_stopping_worker_releases_its_job_immediately(database: PostgresDatabase) -> None:
    first, second = Endless(), Log()
    await enqueue(database)
    async with consuming(database, first, lease=LONG_LEASE) as consumer:
        await until(lambda: _reached(lambda: first.begun == 1))
        async with consuming(database, second, lease=LONG_LEASE):
            await asyncio.sleep(1)  # it found no job and waits for a notification
            consumer.stop()
            # well before the lease expires
            await until(lambda: _reached(lambda: len(second.jobs) == 1))

    assert first.at_work == 0


async def _reached(condition: Callable[[], bool]) -> bool:
    return condition()


async def test_free_worker_claims_jobs_from_a_busy_one(database: PostgresDatabase) -> None:
    one, two = Endless(), Endless()
    for _ in range(4):
        await enqueue(database)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(consuming(database, one, slots=2, lease=LONG_LEASE))
        await until(lambda: _reached(lambda: one.at_work == 2))
        await asyncio.sleep(0.5)
        assert one.begun == 2
        await stack.enter_async_context(consuming(database, two, slots=1, lease=LONG_LEASE))
        await until(lambda: _reached(lambda: two.at_work == 1))
        await asyncio.sleep(0.5)
        assert (one.begun, two.begun) == (2, 1)


async def test_removals_run_while_all_slots_encode(database: PostgresDatabase) -> None:
    busy, removed = Endless(), asyncio.Event()

    async def remove(job: RemoveJob) -> Verdict:
        removed.set()
        return DONE

    await enqueue(database)
    async with consuming(database, busy, remove=remove):
        await until(lambda: _reached(lambda: busy.at_work == 1))
        await enqueue(database, RemoveJob(video_id=uuid4()))
        async with asyncio.timeout(300):
            await removed.wait()


async def test_job_stays_with_a_live_worker(database: PostgresDatabase) -> None:
    async def two_leases() -> tuple[int, int]:
        first, second = Endless(), Log()
        await database.pool.execute("DELETE FROM pgqueuer")
        await enqueue(database)
        async with consuming(database, first):
            await until(lambda: _reached(lambda: first.begun == 1))
            async with consuming(database, second):
                await asyncio.sleep(2 * LEASE.total_seconds())
                return first.begun, len(second.jobs)

    await shows(database.pool, two_leases, (1, 0), stall=STALL)


async def pick(database: PostgresDatabase, *, stale_after: timedelta = LEASE) -> tuple[LeasedQueries, Job]:
    """Claims a job for a worker that then goes silent."""
    queries = LeasedQueries(database.pool, database.listener())
    parameters = {QueueEntrypoint("transcode"): EntrypointExecutionParameter(concurrency_limit=0)}
    [job] = await queries.dequeue(1, parameters, QueueManagerId(uuid4()), None, stale_after)
    return queries, job


async def test_job_of_a_dead_worker_is_taken_over(database: PostgresDatabase) -> None:
    async def death() -> int:
        log = Log()
        await enqueue(database)
        await pick(database)
        async with consuming(database, log):
            await until(lambda: _is(queued(database), 0))
        return len(log.jobs)

    await shows(database.pool, death, 1, stall=STALL)


async def test_worker_without_the_lease_settles_nothing(database: PostgresDatabase) -> None:
    await enqueue(database)
    sleeper, job = await pick(database)
    await database.pool.execute("UPDATE pgqueuer SET heartbeat = now() - interval '1 hour'")
    await pick(database)

    await sleeper.log_jobs([(job, "successful", None)])
    await sleeper.retry_job(job, timedelta(0), None)

    row = await database.pool.fetchrow("SELECT status, queue_manager_id FROM pgqueuer")
    assert row is not None
    assert row["status"] == "picked"
    assert row["queue_manager_id"] != job.queue_manager_id


async def test_unexpected_error_does_not_lose_the_job(database: PostgresDatabase) -> None:
    async def defect() -> int:
        delivered = 0

        async def broken_once(job: TranscodeJob) -> Verdict:
            nonlocal delivered
            delivered += 1
            if delivered == 1:
                raise RuntimeError("a defect")
            return DONE

        await enqueue(database)
        async with consuming(database, broken_once):
            await until(lambda: _is(queued(database), 0))
        return delivered

    await shows(database.pool, defect, 2, stall=STALL)


async def test_health_check_waits_for_the_listener(database: PostgresDatabase) -> None:
    listener = database.listener()
    queries = LeasedQueries(database.pool, listener)
    heard = asyncio.Event()

    async with listener, queries.driver, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(queries.notify_health_check(HealthCheckId(uuid4())))
        await asyncio.sleep(0.2)
        await queries.driver.add_listener(Channel("ch_pgqueuer"), lambda _: heard.set())
        await asking
        async with asyncio.timeout(300):
            await heard.wait()


async def test_unknown_payload_is_left_for_newer_workers(database: PostgresDatabase) -> None:
    await LeasedQueries(database.pool, database.listener()).enqueue("transcode", b"{}")
    deferred = (
        "SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND execute_after > now() + interval '30 s'"
    )

    async with consuming(database, Log()):
        await until(lambda: _is(database.pool.fetchval(deferred), 1))


@pytest.mark.slow
async def test_leases_survive_simultaneous_publication_of_all_slots(database_url: str) -> None:
    slots = 8
    begun: list[str] = []

    async def publish(_: TranscodeJob) -> Verdict:
        begun.append("here")
        async with database.transaction():
            await asyncio.sleep(2.5 * LEASE.total_seconds())
        return DONE

    async def take_over(_: TranscodeJob) -> Verdict:
        begun.append("there")
        return DONE

    async with (
        PostgresDatabase.open(database_url, max_size=connections(slots)) as database,
        PostgresDatabase.open(database_url) as others,
    ):

        async def rush() -> list[str]:
            begun.clear()
            for _ in range(slots):
                await enqueue(database)
            async with consuming(database, publish, slots=slots):
                await until(lambda: _reached(lambda: len(begun) >= slots))
                async with consuming(others, take_over, slots=slots):
                    await until(lambda: _is(queued(others), 0))
            return list(begun)

        await shows(others.pool, rush, ["here"] * slots, stall=STALL)


async def test_busy_worker_polls_the_queue_rarely(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    begun = asyncio.Event()
    count = LeasedQueries.eligible_queued_work

    async def counted(queries: LeasedQueries, entrypoints: list[QueueEntrypoint]) -> int:
        nonlocal looks
        looks += 1
        return await count(queries, entrypoints)

    async def work(_: TranscodeJob) -> Verdict:
        begun.set()
        await asyncio.Event().wait()
        return DONE

    monkeypatch.setattr(LeasedQueries, "eligible_queued_work", counted)
    for _ in range(2):
        await enqueue(database)
    async with consuming(database, work, lease=LONG_LEASE):
        await begun.wait()
        before = looks
        await asyncio.sleep(2)

    assert looks - before <= 1


@pytest.mark.faults
async def test_consumer_survives_lost_database_connections(
    database: PostgresDatabase, postgres_server: Postgres, database_url: str
) -> None:
    log = Log()
    async with consuming(database, log):
        for _ in range(3):
            await enqueue_patiently(database)
            await until(lambda: _is_patiently(database, 0))
            await asyncio.to_thread(
                postgres_server.execute,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'",
            )
        await enqueue_patiently(database)
        await until(lambda: _is_patiently(database, 0))

    assert len(log.jobs) >= 4


async def enqueue_patiently(database: PostgresDatabase) -> None:
    async def done() -> bool:
        try:
            await enqueue(database)
        except Exception:  # noqa: BLE001 - the connection was just killed
            return False
        return True

    await until(done)


async def _is_patiently(database: PostgresDatabase, expected: int) -> bool:
    try:
        return await queued(database) == expected
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
