"""Downloads of published encodes, on a real database, object store and ffmpeg."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.jobs import DownloadJob
from gostream_shared.domain.object_keys import hls_prefix
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.downloads import Download, DownloadState
from gostream_shared.domain.videos.options import EncodeOptions
from gostream_shared.jobs.pgqueuer import download_job
from gostream_worker.downloads.jobs import DownloadJobs
from gostream_worker.downloads.service import DownloadService
from gostream_worker.source.work_directory import WorkDirectory
from services.worker.tests import clips
from services.worker.tests.clipping.test_clip import film
from services.worker.tests.clips import Clips, Recipe
from services.worker.tests.conftest import Worker
from tests.corpus.lip_sync import distances

pytestmark = pytest.mark.stack
BOTH = EncodeOptions(downloads=("highest", "audio"))


@pytest.fixture
def work(tmp_path: Path) -> Iterator[WorkDirectory]:
    with WorkDirectory.open(tmp_path / "downloads") as work:
        yield work


@pytest.fixture
def jobs(worker: Worker, work: WorkDirectory) -> DownloadJobs:
    service = DownloadService(
        worker.dependencies.database,
        worker.dependencies.store,
        worker.recorder,
        worker.encoder,
        work,
        patience=0.0,
    )
    return DownloadJobs(worker.dependencies.database, service)


async def ready(worker: Worker, source: Path, options: EncodeOptions = BOTH) -> Video:
    video_id = await worker.upload(source)
    await worker.attempts.transcode(await worker.start(video_id, options=options))
    video = await worker.video(video_id)
    assert video.status is VideoStatus.READY, video.failure
    return video


def listed(video: Video) -> dict[str, Download]:
    assert video.publication is not None
    return {download.name: download for download in video.publication.downloads}


async def enqueued(database: PostgresDatabase) -> list[DownloadJob]:
    rows = await database.pool.fetch("DELETE FROM pgqueuer WHERE entrypoint = 'download' RETURNING payload")
    return [download_job(row["payload"]) for row in rows]


async def fetched(worker: Worker, video: Video, name: str, to: Path) -> Path:
    key = hls_prefix(video.id) + listed(video)[name].path
    data = await worker.dependencies.store.get(key)
    await asyncio.to_thread(to.write_bytes, data)
    return to


async def objects(worker: Worker, video: Video) -> list[str]:
    return sorted(name for name in await worker.published(video.id) if "download" in name)


def boxes(path: Path) -> list[str]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        found.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4])
    return found


async def test_ready_video_gets_its_files(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips, tmp_path: Path
) -> None:
    video = await ready(worker, clip(film))
    assert [each.state for each in listed(video).values()] == [DownloadState.PREPARING] * 2
    [job] = await enqueued(database)
    assert job == DownloadJob(video_id=video.id, number=1)

    await jobs.make(job)

    after = await worker.video(video.id)
    assert after.version == video.version + 1
    assert worker.recorder.announced[-1] == (video.id, after.version)
    whole, alone = listed(after)["highest"], listed(after)["audio"]
    assert (whole.state, whole.path, whole.content_type) == (
        DownloadState.READY,
        "v1/download-highest.mp4",
        "video/mp4",
    )
    assert (alone.state, alone.path, alone.content_type) == (
        DownloadState.READY,
        "v1/download-audio.m4a",
        "audio/mp4",
    )
    movie = await fetched(worker, after, "highest", tmp_path / "film.mp4")
    assert movie.stat().st_size == whole.size_bytes
    assert boxes(movie)[:2] == ["ftyp", "moov"]
    with av.open(str(movie)) as opened:
        assert [stream.codec_context.name for stream in opened.streams] == ["h264", "aac"]
        assert sum(1 for packet in opened.demux(video=0) if packet.size) == 300
    assert max(map(abs, distances(movie, movie))) < 0.041


async def test_picture_is_not_encoded_again(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips, tmp_path: Path
) -> None:
    video = await ready(worker, clip(film))
    await jobs.make((await enqueued(database))[0])

    published = await worker.published(video.id)
    top = next(iter(video.publication.renditions)).name if video.publication else ""
    segments = tmp_path / "top.ts"
    segments.write_bytes(b"".join(published[f"v1/{top}/{number:05d}.ts"] for number in (0, 1)))
    movie = await fetched(worker, await worker.video(video.id), "highest", tmp_path / "film.mp4")
    assert await asyncio.to_thread(picture_hash, movie) == await asyncio.to_thread(picture_hash, segments)


def picture_hash(path: Path) -> str:
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "md5", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


async def test_bytes_of_downloads_are_counted(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(film))
    before = await stored(database, video)
    job = (await enqueued(database))[0]

    await jobs.make(job)
    await jobs.make(job)  # delivered again

    after = await worker.video(video.id)
    sizes = sum(download.size_bytes for download in listed(after).values())
    assert await stored(database, video) - before == sizes > 0
    assert after.version == video.version + 1


async def stored(database: PostgresDatabase, video: Video) -> int:
    query = "SELECT bytes FROM stored_bytes WHERE video_id = $1 AND number = 1"
    return int(await database.pool.fetchval(query, video.id))


async def test_silent_film_has_no_sound_to_download(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(clips.silent))
    await jobs.make((await enqueued(database))[0])

    found = listed(await worker.video(video.id))
    assert found["highest"].state is DownloadState.READY
    assert (found["audio"].state, found["audio"].error_code) == (DownloadState.FAILED, "NO_SOUND")
    assert await objects(worker, video) == ["v1/download-highest.mp4"]


async def test_encode_without_the_wish_has_no_job(
    worker: Worker, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(clips.silent), EncodeOptions())

    assert listed(video) == {}
    assert await enqueued(database) == []


async def killed_before_the_commit(jobs: DownloadJobs, job: DownloadJob) -> None:
    killed = patch.object(DownloadService, "_commit", side_effect=RuntimeError("killed"))
    with killed, pytest.raises(RuntimeError):
        await jobs.make(job)


async def test_repeated_job_replaces_what_a_dead_worker_left(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(film))
    [job] = await enqueued(database)
    await killed_before_the_commit(jobs, job)
    left = await objects(worker, video)

    await jobs.make(job)

    after = listed(await worker.video(video.id))
    assert sorted(download.path for download in after.values()) == left == await objects(worker, video)


async def test_encode_that_is_replaced_meanwhile_leaves_no_file(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(film))
    [job] = await enqueued(database)
    await killed_before_the_commit(jobs, job)
    assert await objects(worker, video)
    await worker.run_again(video.id)

    await jobs.make(job)

    assert await objects(worker, video) == []
    assert listed(await worker.video(video.id)) == {}


async def test_fence_is_checked_at_the_commit(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(film))
    [job] = await enqueued(database)
    real = DownloadService._store_file

    async def replaced(self: DownloadService, *arguments: Any) -> Any:
        done = await real(self, *arguments)
        await database.pool.execute(
            "UPDATE videos SET published_number = 2, encode_number = 2 WHERE id = $1", video.id
        )
        return done

    with patch.object(DownloadService, "_store_file", replaced):
        await jobs.make(job)

    assert await objects(worker, video) == []
    assert listed(await worker.video(video.id))["audio"].state is DownloadState.PREPARING


async def test_files_go_with_the_video(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(clips.silent))
    [job] = await enqueued(database)
    await jobs.make(job)
    await database.videos.delete(video.id)
    await database.pool.execute("DELETE FROM stored_bytes WHERE video_id = $1", video.id)

    verdict = await jobs.make(job)  # a job that comes late

    assert (verdict.again_in, await objects(worker, video)) == (None, [])


async def test_outage_of_the_store_postpones_the_job(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(clips.silent))
    [job] = await enqueued(database)
    store = worker.dependencies.store
    with patch.object(type(store), "get", side_effect=BackendUnavailableError("object store")):
        verdict = await jobs.make(job)

    assert verdict.again_in is not None
    assert listed(await worker.video(video.id))["highest"].state is DownloadState.PREPARING


async def test_lost_segment_fails_the_download_after_three_tries(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips
) -> None:
    video = await ready(worker, clip(film))
    [job] = await enqueued(database)
    top = video.publication.renditions[0].name if video.publication else ""
    found = await worker.dependencies.store.head(f"{hls_prefix(video.id)}v1/{top}/00001.ts")
    real = type(worker.dependencies.store).list

    def as_before(self: Any, prefix: str) -> Any:
        async def listing() -> Any:
            async for each in real(self, prefix):
                yield replace(each, etag='"other"') if each.key == found.key else each

        return listing()

    with patch.object(type(worker.dependencies.store), "list", as_before):
        waits = [(await jobs.make(job)).again_in is not None for _ in range(3)]

    assert waits == [True, True, False]
    states = {name: each.error_code for name, each in listed(await worker.video(video.id)).items()}
    assert states == {"highest": "UNREADABLE", "audio": "UNREADABLE"}


@pytest.mark.parametrize("recipe", [film])
async def test_object_says_how_to_save_it(
    worker: Worker, jobs: DownloadJobs, database: PostgresDatabase, clip: Clips, recipe: Recipe
) -> None:
    video = await ready(worker, clip(recipe))
    await jobs.make((await enqueued(database))[0])

    store: Any = worker.dependencies.store
    for name in ("highest", "audio"):
        path = listed(await worker.video(video.id))[name].path
        answer = await store._client.head_object(Bucket=store._bucket, Key=hls_prefix(video.id) + path)
        suffix = path.rpartition(".")[2]
        plain, _, wide = answer["ContentDisposition"].rpartition("; ")
        assert plain == f'attachment; filename="d --help.{suffix}"'
        assert wide == f"filename*=UTF-8''%25d%20%27--help.{suffix}"
