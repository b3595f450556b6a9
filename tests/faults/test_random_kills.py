"""Kills workers at random moments; viewers must not notice.

`GOSTREAM_KILLS=200 make test-long` is the long run.
"""

import asyncio
import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.domain.object_keys import hls_prefix, master_key
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError
from tests.faults.worker_processes import (
    Start,
    VideoClient,
    WorkerProcess,
    assert_complete,
    run_removals,
    until,
)
from tests.support.pace import slowness

pytestmark = [pytest.mark.stack, pytest.mark.faults]
KILLS = int(os.environ.get("GOSTREAM_KILLS", "8"))
#: Kills per encode, below the limit at which a source is blamed for killing its workers.
PER_ENCODE = 2
SHORT_LEASE = f"{slowness():.1f}s"


@pytest.fixture(scope="module")
def short_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """13 s of 640×360 with sound; encodes to three segments."""
    path = tmp_path_factory.mktemp("film") / "short.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=13"]
    sound = ["-f", "lavfi", "-i", "sine=duration=13:sample_rate=48000"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


class Viewer:
    """Fetches every URI reachable from the master playlist, repeatedly."""

    def __init__(self, video_client: VideoClient, video_id: UUID) -> None:
        self._video_client = video_client
        self._video_id = video_id
        self.walks = 0

    async def watch(self) -> None:
        while True:
            with suppress(ObjectNotFoundError):  # not published yet
                master = await self._text("master.m3u8")
                for playlist in self._uris(master):
                    await self._walk(playlist)
                self.walks += 1
            await asyncio.sleep(0.05)

    async def _walk(self, playlist: str) -> None:
        try:
            text = await self._text(playlist)
            assert text.rstrip().endswith("#EXT-X-ENDLIST"), f"{playlist} is incomplete"
            for segment in self._uris(text):
                name = f"{playlist.rpartition('/')[0]}/{segment}"
                assert await self._video_client.store.get(hls_prefix(self._video_id) + name), (
                    f"{name} is empty"
                )
        except ObjectNotFoundError:
            pytest.fail(f"{playlist} refers to a missing object")

    async def _text(self, name: str) -> str:
        return (await self._video_client.store.get(hls_prefix(self._video_id) + name)).decode()

    @staticmethod
    def _uris(text: str) -> list[str]:
        return [line for line in text.splitlines() if line and not line.startswith("#")]


async def kill_at_random(
    video_client: VideoClient, video_id: UUID, start_worker: Start, workers: list[WorkerProcess]
) -> int:
    """Kills the workers of one encode up to PER_ENCODE times. Returns the number of kills."""
    for kill in range(PER_ENCODE):
        await until(lambda: _is_taken(video_client, video_id))
        await asyncio.sleep(random.uniform(0, 3.0))
        if (await video_client.database.videos.get(video_id)).status.is_terminal:
            return kill
        for worker in workers:
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait()
        workers[:] = [start_worker(JOB_LEASE=SHORT_LEASE)]
    return PER_ENCODE


async def _is_taken(video_client: VideoClient, video_id: UUID) -> bool:
    """Whether a worker has claimed the encode, or it has ended."""
    sql = "SELECT 1 FROM pgqueuer WHERE entrypoint = 'transcode' AND status = 'picked'"
    over = (await video_client.database.videos.get(video_id)).status.is_terminal
    return over or await video_client.database.pool.fetchval(sql) is not None


@pytest.mark.timeout(120 + 60 * KILLS)
async def test_random_kills_break_no_stream(
    video_client: VideoClient, start_worker: Start, short_film: Path, tmp_path: Path
) -> None:
    workers = [start_worker(JOB_LEASE=SHORT_LEASE)]
    video_id = await video_client.submit(short_film)
    viewer = Viewer(video_client, video_id)
    kills = encodes = 0

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(viewer.watch())
        while kills < KILLS:
            kills += await kill_at_random(video_client, video_id, start_worker, workers)
            video = await video_client.finished(video_id)
            encodes += 1
            print(f"{kills} of {KILLS} kills, {encodes} encodes", flush=True)
            assert (video.status, video.published_number) == (VideoStatus.READY, encodes), video.failure
            if kills < KILLS:
                await video_client.process(video_id)
        watching.cancel()

    await run_removals(video_client)
    published = [found.key async for found in video_client.store.list(hls_prefix(video_id))]
    assert {key.removeprefix(hls_prefix(video_id)).split("/")[0] for key in published} == {
        master_key(video_id).rpartition("/")[2],
        f"v{encodes}",
    }
    await assert_complete(video_client, video_id, tmp_path)
    assert viewer.walks > encodes
    print(f"{kills} kills, {encodes} encodes, {viewer.walks} walks from the master to the last segment")
