"""A fetch ends with its video, its worker or its fence, and leaves nothing behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gostream_shared.domain.errors import BackendUnavailableError, FenceLostError
from gostream_shared.domain.jobs import FetchJob
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.video import VideoStatus
from gostream_worker.jobs.verdict import DONE, Verdict
from services.worker.tests.ingest.conftest import Fetcher
from services.worker.tests.ingest.source_server import SourceServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.stack
Serve = Callable[..., Awaitable[SourceServer]]
MIB = 1 << 20
BODY = os.urandom(18 * MIB)


@asynccontextmanager
async def fetching(
    fetcher: Fetcher, serve: Serve
) -> AsyncIterator[tuple[FetchJob, asyncio.Task[Verdict], SourceServer]]:
    """A fetch that waits for its server, after its first part was stored."""
    server = await serve(BODY, held_at=12 * MIB)
    server.go_on.clear()
    job = await fetcher.job(server.url)
    task = asyncio.create_task(fetcher.deliver(job))
    await eventually(lambda: fetcher.parts(job.video_id))
    try:
        yield job, task, server
    finally:
        server.go_on.set()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def nothing_is_left(fetcher: Fetcher, job: FetchJob) -> None:
    assert await fetcher.parts(job.video_id) == []
    assert await fetcher.stored(job.video_id) is None
    assert [kind for kind, _ in await fetcher.queued() if kind == "transcode"] == []


async def test_cancelled_video_ends_its_fetch(fetcher: Fetcher, serve: Serve) -> None:
    async with fetching(fetcher, serve) as (job, task, _):
        await fetcher.database.encodes.cancel(job.video_id)

        assert await task == DONE

    assert (await fetcher.video(job)).status is VideoStatus.CANCELLED
    await nothing_is_left(fetcher, job)


async def test_deleted_video_ends_its_fetch(fetcher: Fetcher, serve: Serve) -> None:
    async with fetching(fetcher, serve) as (job, task, _):
        await fetcher.database.videos.delete(job.video_id)

        assert await task == DONE

    await nothing_is_left(fetcher, job)
    assert (await fetcher.row(job.video_id))["url"] is None


async def test_stopping_worker_gives_the_fetch_back(fetcher: Fetcher, serve: Serve) -> None:
    async with fetching(fetcher, serve) as (job, task, server):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await nothing_is_left(fetcher, job)
        server.go_on.set()

        await fetcher.deliver(job)

    assert await fetcher.stored(job.video_id) == BODY
    assert (await fetcher.video(job)).attempt == 2


async def test_taken_over_fetch_stores_nothing(fetcher: Fetcher, serve: Serve) -> None:
    """The second worker begins while the first one is still reading."""
    async with fetching(fetcher, serve) as (job, task, server):
        second = asyncio.create_task(fetcher.deliver(job))
        assert await task == DONE
        server.go_on.set()
        await second

    assert await fetcher.stored(job.video_id) == BODY
    assert await fetcher.parts(job.video_id) == []
    assert len([kind for kind, _ in await fetcher.queued() if kind == "transcode"]) == 1


async def test_repeated_delivery_leaves_the_encode_alone(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(b"film")
    job = await fetcher.job(server.url)
    await fetcher.deliver(job)
    encode = await fetcher.database.encodes.begin_attempt(job.video_id, job.number, worker="encoder")

    assert await fetcher.deliver(job) == DONE

    await fetcher.database.encodes.forgive_attempt(encode)  # it has its fence
    assert len(server.requests) == 1


async def test_killed_workers_parts_are_removed(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(BODY)
    job = await fetcher.job(server.url)
    await fetcher.database.encodes.begin_attempt(job.video_id, job.number, worker="killed")
    await fetcher.store.create_multipart(source_key(job.video_id), content_type="video/mp4")

    await fetcher.deliver(job)

    assert await fetcher.parts(job.video_id) == []
    assert await fetcher.stored(job.video_id) == BODY


async def test_parts_of_a_cancelled_video_are_removed(fetcher: Fetcher, serve: Serve) -> None:
    """Its worker was killed, so that no one noticed the cancellation."""
    job = await fetcher.job((await serve(BODY)).url)
    await fetcher.store.create_multipart(source_key(job.video_id), content_type="video/mp4")
    await fetcher.database.encodes.cancel(job.video_id)

    assert await fetcher.deliver(job) == DONE

    await nothing_is_left(fetcher, job)


async def test_source_of_a_killed_worker_is_used(fetcher: Fetcher, serve: Serve) -> None:
    """It died between the last byte and the handing over."""
    server = await serve(BODY)
    job = await fetcher.job(server.url)
    await fetcher.store.put(source_key(job.video_id), b"film", content_type="video/mp4")

    await fetcher.deliver(job)

    assert server.requests == []
    assert [kind for kind, _ in await fetcher.queued()] == ["transcode"]


STEPS = ("head", "abort_multipart_uploads", "create_multipart", "put_part", "complete_multipart")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_cancellation_at_any_step_leaves_nothing(
    fetcher: Fetcher, serve: Serve, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """The worker stops before, during or after a call of the store."""
    job = await fetcher.job((await serve(BODY)).url)
    call = getattr(fetcher.store, step)
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def stop() -> None:
        if not reached.done():
            reached.set_result(None)
            await asyncio.sleep(0.2)

    async def stepped(*arguments: Any, **options: Any) -> Any:
        if moment == "before":
            await stop()
        if moment == "during" and not reached.done():
            reached.set_result(None)
        answer = await call(*arguments, **options)
        if moment == "after":
            await stop()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(fetcher.store, step, stepped)
        task = asyncio.create_task(fetcher.deliver(job))
        await reached
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    assert await fetcher.parts(job.video_id) == []
    if step not in ("complete_multipart", "head"):  # the object may exist then
        assert await fetcher.stored(job.video_id) is None
    await fetcher.deliver(job)
    assert await fetcher.stored(job.video_id) == BODY
    assert await fetcher.parts(job.video_id) == []


@pytest.mark.parametrize(
    "step", ["create_multipart", "put_part", "complete_multipart", "abort_multipart_uploads"]
)
async def test_outage_of_the_store_repeats_the_fetch(
    fetcher: Fetcher, serve: Serve, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    job = await fetcher.job((await serve(BODY)).url)

    async def unavailable(*arguments: Any, **options: Any) -> Any:
        raise BackendUnavailableError("object store")

    with monkeypatch.context() as patch:
        patch.setattr(fetcher.store, step, unavailable)
        verdict = await fetcher.deliver(job)

    assert verdict.again_in is not None
    assert (await fetcher.video(job)).status is VideoStatus.PROCESSING
    await fetcher.deliver(job)
    assert await fetcher.stored(job.video_id) == BODY
    assert await fetcher.parts(job.video_id) == []


async def test_lost_answer_of_the_completion_succeeds(
    fetcher: Fetcher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await fetcher.job((await serve(BODY)).url)
    complete = fetcher.store.complete_multipart

    async def twice(*arguments: Any) -> None:
        await complete(*arguments)
        await fetcher.store.abort_multipart(*arguments[:2])
        await complete(*arguments)

    monkeypatch.setattr(fetcher.store, "complete_multipart", twice)
    await fetcher.deliver(job)

    assert await fetcher.stored(job.video_id) == BODY


async def test_fetched_source_is_not_begun_again(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(b"film")
    job = await fetcher.job(server.url)
    await fetcher.deliver(job)

    with pytest.raises(FenceLostError):
        await fetcher.service.begin(job.video_id, job.number, worker="w")
