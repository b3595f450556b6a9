"""A worker that freezes between the row lock and the write of the master, and wakes too late."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gostream_shared.domain.encode import Encode
from gostream_shared.domain.video import VideoStatus
from gostream_worker.jobs.verdict import DONE
from services.worker.tests import clips, frozen_worker
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules
from tests.support.repository import ROOT

pytestmark = pytest.mark.stack


@asynccontextmanager
async def standing_still(
    encode: Encode, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs an attempt in a process that freezes while it holds the lock; it resumes after the block."""
    arguments = json.dumps(dataclasses.asdict(encode), default=str)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.worker.tests.frozen_worker", arguments),
        env={**os.environ, **environment},
        cwd=ROOT,
    )
    try:
        async with asyncio.timeout(100):
            while _state(process.pid) != "T":
                assert process.returncode is None, "the process ended before the master"
                await asyncio.sleep(0.05)
            yield process
            process.send_signal(signal.SIGCONT)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _state(pid: int) -> str:
    """A state letter of proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_late_worker_does_not_overwrite_a_newer_publication(
    worker: Worker, clip: Clips, environment: dict[str, str]
) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    encode = await worker.dependencies.database.encodes.begin_attempt(
        video_id, job.number, worker="the first"
    )
    async with standing_still(encode, environment) as first:
        assert await worker.attempts.transcode(job) == DONE
        master = await worker.master(video_id)

    assert first.returncode == frozen_worker.FENCE_LOST
    assert "playlist-2.m3u8" in master
    assert await worker.master(video_id) == master
    video = await worker.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2)
    await worker.collect()
    assert await broken_rules(await worker.save(video_id)) == [], "no objects of the late worker remain"


@pytest.mark.slow
async def test_late_worker_restores_the_previous_publication(
    worker: Worker, clip: Clips, environment: dict[str, str]
) -> None:
    video = await worker.process(clip(clips.plain))
    before = await worker.master(video.id)
    job = await worker.start(video.id)
    encode = await worker.dependencies.database.encodes.begin_attempt(
        video.id, job.number, worker="the first"
    )
    async with standing_still(encode, environment) as first:
        await asyncio.sleep(1.5)  # until the lock is revoked: cancel waits for it
        await worker.dependencies.database.encodes.cancel(video.id)

    assert first.returncode == frozen_worker.FENCE_LOST
    assert await worker.master(video.id) == before
    assert (await worker.video(video.id)).published_number == 1


@pytest.mark.slow
async def test_late_worker_leaves_a_playable_stream(
    worker: Worker, clip: Clips, environment: dict[str, str]
) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    encodes = worker.dependencies.database.encodes
    encode = await encodes.begin_attempt(video_id, job.number, worker="the first")
    async with standing_still(encode, environment) as first:
        await asyncio.sleep(1.5)
        await encodes.begin_attempt(video_id, job.number, worker="its successor")

    assert first.returncode == frozen_worker.FENCE_LOST
    assert await broken_rules(await worker.save(video_id)) == []
    assert await worker.attempts.transcode(job) == DONE
    assert "playlist-3.m3u8" in await worker.master(video_id)
