"""Sources are fetched from their URL, whatever breaks on the way."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from gostream_shared.domain.video import VideoStatus
from gostream_shared.jobs.pgqueuer import TRANSCODE, transcode_job
from gostream_worker.ingest import http_source, transfer
from services.worker.tests.ingest.conftest import MAX_BYTES, Fetcher
from services.worker.tests.ingest.source_server import SourceServer

pytestmark = pytest.mark.stack
Serve = Callable[..., Awaitable[SourceServer]]
MIB = 1 << 20
LARGE = os.urandom(20 * MIB + 12_345)
SMALL = os.urandom(100_000)


async def test_fetched_source_is_handed_over(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(SMALL)

    video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == SMALL
    ((entrypoint, payload),) = await fetcher.queued()
    assert entrypoint == TRANSCODE
    assert (transcode_job(payload).video_id, transcode_job(payload).number) == (video.id, 1)
    row = await fetcher.row(video.id)
    assert (row["url"], row["size_bytes"]) == (None, len(SMALL))
    assert row["sha256"] == hashlib.sha256(SMALL).digest()
    encode = await fetcher.database.encodes.begin_attempt(video.id, 1, worker="w")
    assert encode.tries == 1, "fetching is no try of the encode"
    stages = [progress.stage for progress in fetcher.recorder.progress]
    assert (stages[0], stages[-1]) == ("fetching", "queued")


async def test_fetched_bytes_count_for_the_owner(fetcher: Fetcher, serve: Serve) -> None:
    video = await fetcher.fetch((await serve(SMALL)).url)

    usage = await fetcher.database.pool.fetchrow("SELECT * FROM owner_usage WHERE owner = $1", video.user_id)
    assert usage is not None
    assert (usage["stored_bytes"], usage["encodes"]) == (len(SMALL), 1)


async def test_large_source_is_stored_in_parts(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(LARGE)

    video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == LARGE
    assert await fetcher.parts(video.id) == []
    assert (await fetcher.row(video.id))["sha256"] == hashlib.sha256(LARGE).digest()
    request = server.requests[0]
    assert "range" not in request
    assert request["accept-encoding"] == "identity"
    assert "authorization" not in request


async def test_queued_fetch_counts_as_waiting(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(SMALL)
    job = await fetcher.job(server.url)

    assert await fetcher.database.encodes.count_waiting(at_most=9) == 1
    await fetcher.deliver(job)
    assert await fetcher.database.encodes.count_waiting(at_most=9) == 1, "now it waits for an encoder"


async def test_broken_connection_is_resumed(fetcher: Fetcher, serve: Serve) -> None:
    cuts = [3 * MIB + 1, 5, 9 * MIB, 0]
    server = await serve(LARGE, cuts=list(cuts))

    video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == LARGE
    starts = [0, cuts[0], cuts[0] + cuts[1], sum(cuts), sum(cuts)]
    assert [request.get("range") for request in server.requests] == [
        None,
        *(f"bytes={start}-" for start in starts[1:]),
    ]
    assert {request.get("if-range") for request in server.requests[1:]} == {'"one"'}


async def test_resumption_uses_the_date_without_etag(fetcher: Fetcher, serve: Serve) -> None:
    date = "Mon, 30 Nov 2026 10:00:00 GMT"
    server = await serve(LARGE, cuts=[9 * MIB], etag="", headers={"Last-Modified": date})

    video = await fetcher.fetch(server.url)

    # The server of this test compares only ETags, so it answers with the whole file.
    assert server.requests[1]["if-range"] == date
    assert await fetcher.stored(video.id) == LARGE


@pytest.mark.parametrize("fault", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
async def test_server_without_resumption_is_asked_anew(
    fetcher: Fetcher, serve: Serve, fault: dict[str, object]
) -> None:
    server = await serve(LARGE, cuts=[9 * MIB, 17 * MIB], **fault)

    video = await fetcher.fetch(server.url)

    assert any("range" in request for request in server.requests) == (fault == {"ranges": False})
    assert await fetcher.stored(video.id) == LARGE
    assert await fetcher.parts(video.id) == []


async def test_changed_file_is_fetched_anew(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(LARGE, cuts=[9 * MIB])
    changed = os.urandom(len(LARGE))

    async def change() -> None:
        while not server.requests:
            await asyncio.sleep(0.001)
        server.body, server.etag = changed, '"two"'

    job = await fetcher.job(server.url)
    await asyncio.gather(fetcher.deliver(job), change())

    assert await fetcher.stored(job.video_id) == changed


async def test_length_may_be_unknown(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(LARGE, has_length=False, cuts=[12 * MIB])

    video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == LARGE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206, 304])
async def test_status_without_source_fails_at_once(fetcher: Fetcher, serve: Serve, status: int) -> None:
    server = await serve(SMALL, statuses=[status] * 9)

    failure = await fetcher.failure(server.url)

    assert (failure.code, failure.stage, failure.retryable) == ("SOURCE_UNREACHABLE", "fetching", False)
    assert failure.message == f"The server of the source answered with HTTP status {status}."
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_transient_status_is_asked_again(fetcher: Fetcher, serve: Serve, status: int) -> None:
    server = await serve(SMALL, statuses=[status, status, 200])

    video = await fetcher.fetch(server.url)

    assert await fetcher.stored(video.id) == SMALL


async def test_lasting_outage_fails_and_may_help_later(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(SMALL, statuses=[503] * 99)

    failure = await fetcher.failure(server.url)

    assert (failure.code, failure.retryable) == ("SOURCE_UNREACHABLE", True)
    assert "503" in failure.message
    assert len(server.requests) == transfer._LOST_IN_A_ROW


async def test_nobody_listening_tells_no_address(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(SMALL)
    url = server.url.replace(str(server.port), "9")

    failure = await fetcher.failure(url)

    assert failure.message == "The server of the source could not be reached."
    assert (failure.code, failure.retryable) == ("SOURCE_UNREACHABLE", True)


async def test_silent_server_is_left(fetcher: Fetcher, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "STALL_TIMEOUT", 0.3)
    server = await serve(LARGE, held_at=9 * MIB)
    server.go_on.clear()
    job = await fetcher.job(server.url)

    async def resume() -> None:
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
        server.go_on.set()

    await asyncio.gather(fetcher.deliver(job), resume())

    assert await fetcher.stored(job.video_id) == LARGE
    assert server.requests[1]["range"].startswith("bytes=")


async def test_deadline_ends_a_slow_fetch(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(LARGE, held_at=9 * MIB)
    server.go_on.clear()
    fetcher.timeout = timedelta(seconds=2)

    failure = await fetcher.failure(server.url)

    assert failure.message == "The source could not be fetched within 2s."
    assert (failure.code, failure.retryable) == ("SOURCE_UNREACHABLE", True)


@pytest.mark.parametrize("has_length", [True, False])
async def test_too_large_source_is_refused(fetcher: Fetcher, serve: Serve, has_length: bool) -> None:
    server = await serve(b"\0" * (MAX_BYTES + 1), has_length=has_length)

    job = await fetcher.job(server.url)
    await fetcher.deliver(job)

    failure = (await fetcher.video(job)).failure
    assert failure is not None
    assert (failure.code, failure.message) == ("TOO_LARGE", "The source is larger than this service accepts.")
    assert (await fetcher.stored(job.video_id), await fetcher.parts(job.video_id)) == (None, [])


async def test_empty_source_is_refused(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(b"")

    assert (await fetcher.failure(server.url)).code == "SOURCE_EMPTY"


async def test_compressed_source_is_refused(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(SMALL, headers={"Content-Encoding": "gzip"})

    assert (await fetcher.failure(server.url)).message == "The server of the source sends it compressed."


async def test_server_that_always_breaks_is_left(fetcher: Fetcher, serve: Serve) -> None:
    server = await serve(LARGE, ranges=False, cuts=[19 * MIB] * 99)

    job = await fetcher.job(server.url)
    await fetcher.deliver(job)

    video = await fetcher.video(job)
    assert video.status is VideoStatus.FAILED
    assert len(server.requests) <= 6
    assert await fetcher.parts(job.video_id) == []
