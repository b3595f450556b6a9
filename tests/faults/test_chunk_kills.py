"""Workers of one film die, stop or freeze: the published bytes stay the same.

`GOSTREAM_KILLS=100 make test-long` is the long run.
"""

import asyncio
import hashlib
import os
import random
import re
import signal
import subprocess
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.domain.object_keys import hls_prefix
from gostream_shared.domain.video import VideoStatus
from tests.faults.worker_processes import (
    LEASE,
    Start,
    VideoClient,
    WorkerProcess,
    assert_complete,
    run_removals,
    until,
)
from tests.support.pace import slowness

pytestmark = [pytest.mark.stack, pytest.mark.faults]
KILLS = int(os.environ.get("GOSTREAM_KILLS", "6"))
#: Kills per film, below the number that fails a chunk.
PER_FILM = 2
SHORT_LEASE = f"{slowness():.1f}s"
#: The number of a try in the name of a segment.
_TRY = re.compile(rb"(?<=\d{5})-\d+(?=\.ts)")
#: The number of an attempt in the name of a playlist.
_ATTEMPT = re.compile(rb"(playlist|iframes)-\d+(?=\.m3u8)")
_RECORD = """
CREATE TABLE seen_chunks (id uuid, chunk integer, tries integer, forgiven integer);
CREATE FUNCTION note_chunk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO seen_chunks VALUES (OLD.video_id, OLD.chunk, OLD.tries, OLD.forgiven); RETURN NULL;
END $$;
CREATE TRIGGER note_chunk AFTER DELETE ON encode_chunks FOR EACH ROW EXECUTE FUNCTION note_chunk();
"""


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 s of 640×360 with sound: four chunks of picture, and the sound."""
    path = tmp_path_factory.mktemp("film") / "long.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=50,noise=alls=12:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=duration=50:sample_rate=48000"]
    coding = ["-c:v", "mpeg4", "-q:v", "12", "-g", "25", "-c:a", "aac"]
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coding, str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


@pytest.fixture(autouse=True)
async def recording(video_client: VideoClient) -> None:
    await video_client.database.pool.execute(_RECORD)


async def digests(video_client: VideoClient, video_id: UUID) -> dict[str, str]:
    """The SHA-256 of every published object, without the numbers of tries and attempts in names."""
    prefix, found = hls_prefix(video_id), {}
    async for stored in video_client.store.list(prefix):
        data = await video_client.store.get(stored.key)
        name = _plain(stored.key.removeprefix(prefix).encode()).decode()
        if "early" not in name:
            assert name not in found, f"{name} is there twice"
            found[name] = hashlib.sha256(_plain(data) if name.endswith(".m3u8") else data).hexdigest()
    return found


def _plain(text: bytes) -> bytes:
    return _ATTEMPT.sub(rb"\1", _TRY.sub(b"", text))


async def published_by(
    video_client: VideoClient, start_worker: Start, film: Path, *, workers: int
) -> dict[str, str]:
    started = [start_worker(JOB_LEASE=LEASE, WORKER_SLOTS="1") for _ in range(workers)]
    video_id = await video_client.submit(film)
    video = await video_client.finished(video_id)
    assert video.status is VideoStatus.READY, video.failure
    for worker in started:
        worker.end()
    await run_removals_of(video_client, start_worker)
    return await digests(video_client, video_id)


async def run_removals_of(video_client: VideoClient, start_worker: Start) -> None:
    """Runs all removals, and jobs that were given back, in a worker that ends afterwards."""
    worker = start_worker(WORKER_SLOTS="1")
    await run_removals(video_client)
    worker.end()


async def has_begun(video_client: VideoClient, video_id: UUID, *, chunks: int = 1) -> None:
    """Waits until that many chunks of the film are being encoded or done, or the film is over."""

    async def begun() -> bool:
        sql = "SELECT count(*) FROM encode_chunks WHERE video_id = $1 AND tries > 0"
        over = (await video_client.database.videos.get(video_id)).status.is_terminal
        return over or await video_client.database.pool.fetchval(sql, video_id) >= chunks

    await until(begun)


async def tries(video_client: VideoClient, video_id: UUID) -> list[tuple[int, int]]:
    """(tries, forgiven tries) of each chunk of a film that is over."""
    rows = await video_client.database.pool.fetch(
        "SELECT tries, forgiven FROM seen_chunks WHERE id = $1 ORDER BY chunk", video_id
    )
    return [(row["tries"], row["forgiven"]) for row in rows]


@pytest.mark.timeout(400)
async def test_bytes_are_equal_for_any_number_of_workers(
    video_client: VideoClient, start_worker: Start, long_film: Path
) -> None:
    trees = [
        await published_by(video_client, start_worker, long_film, workers=workers) for workers in (1, 2, 4)
    ]
    assert len(trees[0]) > 30
    assert trees[0] == trees[1]
    assert trees[0] == trees[2]


@pytest.mark.timeout(200 + 40 * KILLS)
async def test_kills_change_no_published_byte(
    video_client: VideoClient, start_worker: Start, long_film: Path, tmp_path: Path
) -> None:
    undisturbed = await published_by(video_client, start_worker, long_film, workers=1)
    workers = [start_worker(JOB_LEASE=SHORT_LEASE, WORKER_SLOTS="1") for _ in range(2)]
    kills = films = 0
    while kills < KILLS:
        video_id = await video_client.submit(long_film)
        of_film = 0
        while of_film < min(PER_FILM, KILLS - kills):
            await has_begun(video_client, video_id, chunks=of_film + 1)
            await asyncio.sleep(random.uniform(0, 1.5))
            if (await video_client.database.videos.get(video_id)).status.is_terminal:
                break
            kill(workers, start_worker)
            of_film += 1
        video = await video_client.finished(video_id)
        kills, films = kills + of_film, films + 1
        print(f"{kills} of {KILLS} kills, {films} films", flush=True)
        assert video.status is VideoStatus.READY, video.failure
        repeated = sum(count - 1 for count, _ in await tries(video_client, video_id))
        # A worker that a busy machine froze beyond its lease loses a chunk too.
        assert repeated <= of_film + 2, "a kill costs more than a chunk"
        assert await video_client.times_ready(video_id) == 1
    for worker in workers:
        worker.end()
    await run_removals_of(video_client, start_worker)
    rows = await video_client.database.pool.fetch("SELECT id FROM videos WHERE status = 'READY'")
    for row in rows:
        assert await digests(video_client, row["id"]) == undisturbed
    start_worker(WORKER_SLOTS="1")
    await assert_complete(video_client, video_id, tmp_path)


def kill(workers: list[WorkerProcess], start_worker: Start) -> None:
    """Kills one of the workers and starts another one."""
    victim = workers.pop(random.randrange(len(workers)))
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    workers.append(start_worker(JOB_LEASE=SHORT_LEASE, WORKER_SLOTS="1"))


async def test_stopping_worker_gives_its_chunks_back(
    video_client: VideoClient, start_worker: Start, long_film: Path, tmp_path: Path
) -> None:
    # With this lease no other worker could take over within the test by expiry.
    workers = [start_worker(JOB_LEASE="10m", WORKER_SLOTS="1") for _ in range(2)]
    video_id = await video_client.submit(long_film)
    await has_begun(video_client, video_id, chunks=3)

    workers[0].process.send_signal(signal.SIGTERM)

    assert await asyncio.to_thread(workers[0].process.wait, 30) == 0
    video = await video_client.finished(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 1)
    assert all(count == 1 + forgiven for count, forgiven in await tries(video_client, video_id))
    await assert_complete(video_client, video_id, tmp_path)


async def test_worker_frozen_in_a_chunk_changes_nothing(
    video_client: VideoClient, start_worker: Start, long_film: Path, tmp_path: Path
) -> None:
    workers = [start_worker(JOB_LEASE=LEASE, WORKER_SLOTS="1") for _ in range(2)]
    video_id = await video_client.submit(long_film)
    await has_begun(video_client, video_id, chunks=2)
    frozen = workers[0]
    group = [psutil.Process(frozen.process.pid), *await frozen.wait_for_encoders()]
    for process in group:
        process.suspend()

    video = await video_client.finished(video_id)
    encoders = [process for process in group[1:] if "ffmpeg" in process.name()]
    for process in group:
        process.resume()

    async def encoder_is_gone() -> bool:
        return not any(encoder.is_running() for encoder in encoders)

    await until(encoder_is_gone)
    assert video.status is VideoStatus.READY, video.failure
    assert await video_client.times_ready(video_id) == 1
    await run_removals_of(video_client, start_worker)  # of what the frozen worker has stored since
    await assert_complete(video_client, video_id, tmp_path)
    assert len(await digests(video_client, video_id)) > 30
