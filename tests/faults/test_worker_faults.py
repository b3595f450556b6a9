"""Workers die, stop, or get a job twice: one complete stream is published exactly once."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from gostream_shared.domain.object_keys import hls_prefix
from gostream_shared.domain.video import VideoStatus
from tests.faults.worker_processes import LEASE, Start, VideoClient, assert_complete, until

pytestmark = [pytest.mark.stack, pytest.mark.faults]


async def test_another_worker_finishes_a_killed_workers_encode(
    video_client: VideoClient, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    workers = [start_worker(JOB_LEASE=LEASE) for _ in range(2)]
    video_id = await video_client.submit(film)
    name, attempt = await video_client.wait_until_encoding(video_id)
    [victim] = [worker for worker in workers if name.endswith(worker.name)]
    encoders = await victim.wait_for_encoders()

    victim.process.kill()

    video = await video_client.finished(video_id)
    assert (video.status, video.attempt, video.published_number) == (VideoStatus.READY, attempt + 1, 1)
    assert await video_client.times_ready(video_id) == 1
    psutil.wait_procs(encoders, timeout=60)
    assert not any(encoder.is_running() for encoder in encoders), "an encoder outlived its worker"
    await assert_complete(video_client, video_id, tmp_path)


async def test_stopping_worker_hands_over_its_encode(
    video_client: VideoClient, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    # With this lease no other worker could take over within the test by expiry.
    workers = [start_worker(JOB_LEASE="10m") for _ in range(2)]
    video_id = await video_client.submit(film)
    name, _ = await video_client.wait_until_encoding(video_id)
    [leaving] = [worker for worker in workers if name.endswith(worker.name)]

    leaving.process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(leaving.process.wait, 30) == 0
    video = await video_client.finished(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2)
    forgiven = await video_client.database.pool.fetchval(
        "SELECT forgiven FROM encodes WHERE video_id = $1", video_id
    )
    assert forgiven == 1, "a deploy must not count as a try"
    await assert_complete(video_client, video_id, tmp_path)


async def test_job_delivered_twice_publishes_once(
    video_client: VideoClient, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    video_id = await video_client.submit(film)
    await video_client.database.pool.execute(
        """INSERT INTO pgqueuer (priority, entrypoint, payload, status, execute_after)
        SELECT priority, entrypoint, payload, status, execute_after FROM pgqueuer"""
    )
    for _ in range(2):
        start_worker(JOB_LEASE=LEASE)

    video = await video_client.finished(video_id)
    assert (video.status, video.published_number) == (VideoStatus.READY, 1)
    assert await video_client.times_ready(video_id) == 1

    async def queue_is_empty() -> bool:
        sql = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'transcode'"
        return bool(await video_client.database.pool.fetchval(sql) == 0)

    await until(queue_is_empty)
    await assert_complete(video_client, video_id, tmp_path)


async def test_cancelled_encode_stops_and_publishes_nothing(
    video_client: VideoClient, start_worker: Start, film: Path
) -> None:
    worker = start_worker(JOB_LEASE=LEASE)
    video_id = await video_client.submit(film)
    await video_client.wait_until_encoding(video_id)

    await video_client.database.encodes.cancel(video_id)

    async def encoder_is_gone() -> bool:
        return worker.encoders() == []

    await until(encoder_is_gone, within=20)
    assert (await video_client.database.videos.get(video_id)).status is VideoStatus.CANCELLED
    assert not [found async for found in video_client.store.list(f"{hls_prefix(video_id)}master")]


async def test_worker_frozen_beyond_lease_publishes_nothing(
    video_client: VideoClient, start_worker: Start, film: Path, tmp_path: Path
) -> None:
    workers = [start_worker(JOB_LEASE=LEASE) for _ in range(2)]
    video_id = await video_client.submit(film)
    name, attempt = await video_client.wait_until_encoding(video_id)
    [frozen] = [worker for worker in workers if name.endswith(worker.name)]
    group = [psutil.Process(frozen.process.pid), *await frozen.wait_for_encoders()]
    for process in group:
        process.suspend()

    video = await video_client.finished(video_id)
    for process in group:
        process.resume()

    async def encoder_is_gone() -> bool:
        return frozen.encoders() == []

    await until(encoder_is_gone)
    assert (video.status, video.attempt) == (VideoStatus.READY, attempt + 1)
    assert await video_client.times_ready(video_id) == 1
    await assert_complete(video_client, video_id, tmp_path)
