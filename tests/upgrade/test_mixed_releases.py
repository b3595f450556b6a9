"""The previous release and this one side by side over one database, migrated by this one."""

import asyncio
import json
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import asyncpg
import pytest

from gostream.v1 import video_pb2
from gostream_client import AsyncClient, GoStreamError
from gostream_shared.concurrency import in_background
from tests.support.waiting import eventually
from tests.upgrade.conftest import Clients, Releases, started
from tests.upgrade.previous import programs

pytestmark = [pytest.mark.stack, pytest.mark.slow]
READY = video_pb2.Video.STATUS_READY


class Reader:
    """Reads one video again and again from one replica, and keeps what it was answered."""

    def __init__(self, client: AsyncClient, video_id: str) -> None:
        self.client, self.video_id = client, video_id
        self.reads = 0
        self.answers: defaultdict[int, set[bytes]] = defaultdict(set)
        self.versions: list[int] = []
        self.failed: list[str] = []

    async def read(self) -> None:
        while True:
            try:
                self.keep(await self.client.get_video(self.video_id))
                [video] = await self.client.batch_get_videos([self.video_id])
            except GoStreamError as error:
                self.failed.append(str(error))
            else:
                self.keep(video)
                self.reads += 1
            await asyncio.sleep(0.002)

    def keep(self, video: video_pb2.Video) -> None:
        self.answers[video.version].add(video.SerializeToString(deterministic=True))
        if not self.versions or self.versions[-1] != video.version:
            self.versions.append(video.version)


async def to_the_end(client: AsyncClient, video: video_pb2.Video) -> video_pb2.Video:
    """Waits until the processing of a video ends."""
    async with asyncio.timeout(400), aclosing(client.watch(video.id, min_version=video.version)) as states:
        async for state in states:
            video = state
    return video


async def process(uploader: AsyncClient, asked: AsyncClient, path: Path, profile: str) -> video_pb2.Video:
    """Uploads by one replica, triggers at another one, and returns the video when that is over."""
    created = await uploader.upload(path, user_id="upgrade")
    return await to_the_end(uploader, await asked.trigger_process(created.id, profile=profile))


async def test_releases_read_each_others_writes(clients: Clients) -> None:
    created = await clients.this.create_video(title="0", size_bytes=4)
    video_id = created.video.id
    titles = {created.video.version: "0"}
    readers = [Reader(client, video_id) for client in clients]
    writers = (clients.previous, clients.this, clients.other)

    async with in_background(*(reader.read() for reader in readers)):
        for number in range(1, 91):
            written = await writers[number % 3].update_video(video_id, title=str(number))
            titles[written.version] = str(number)
            read = [await client.get_video(video_id, min_version=written.version) for client in clients]
            assert [(video.version, video.title) for video in read] == [(written.version, str(number))] * 3

    for reader in readers:
        assert reader.failed == []
        assert reader.reads > 50
        assert reader.versions == sorted(reader.versions)
        for version, answers in reader.answers.items():
            assert len(answers) == 1
            assert video_pb2.Video.FromString(*answers).title == titles[version]
    await clients.previous.delete_video(video_id)


@pytest.mark.parametrize("asked", ["previous", "this"])
async def test_previous_worker_finishes_jobs(
    releases: Releases, clients: Clients, clip: Path, asked: str
) -> None:
    with started(releases.previous_worker):
        video = await process(clients.this, getattr(clients, asked), clip, "quality")

    assert video.status == READY, video
    for client in clients:
        answer = await client.get_video(video.id, min_version=video.version)
        assert (answer.status, answer.playback_url) == (READY, video.playback_url)


@pytest.mark.parametrize("asked", ["previous", "this"])
async def test_worker_finishes_jobs(releases: Releases, clients: Clients, clip: Path, asked: str) -> None:
    with started(releases.workers[0]):
        video = await process(clients.previous, getattr(clients, asked), clip, "quality")

    assert video.status == READY, video
    for client in clients:
        answer = await client.get_video(video.id, min_version=video.version)
        assert (answer.status, answer.playback_url) == (READY, video.playback_url)


@pytest.fixture
async def database(releases: Releases) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(releases.stack.env["DATABASE_URL"])
    yield connection
    await connection.close()


async def test_cache_entries_of_releases_stay_apart(releases: Releases, clients: Clients, clip: Path) -> None:
    with started(releases.workers[0]):
        video = await process(clients.this, clients.this, clip, "")
    assert video.HasField("loudness")
    assert video.media_kind == video_pb2.MEDIA_KIND_VIDEO

    for number, writer in enumerate((clients.previous, clients.this, clients.previous)):
        written = await writer.update_video(video.id, title=str(number))
        # The entry in Redis is of whichever release reads first; the last reader finds it.
        order = (clients.previous, clients.this) if number % 2 else (clients.this, clients.previous)
        for client in (*order, clients.other):
            answer = await client.get_video(video.id, min_version=written.version)
            assert (answer.version, answer.title) == (written.version, str(number))
            if client is not clients.previous:
                assert (answer.loudness, answer.media_kind) == (video.loudness, video.media_kind)


async def test_chunks_pass_previous_workers(
    releases: Releases, clients: Clients, film: Path, database: asyncpg.Connection
) -> None:
    async def is_in_chunks() -> bool:
        return bool(await database.fetchval("SELECT count(*) FROM encode_chunks WHERE tries > 0"))

    created = await clients.this.upload(film, user_id="upgrade")
    with started(releases.workers[0]):
        begun = await clients.this.trigger_process(created.id)
        await eventually(is_in_chunks)
        with started(releases.previous_worker):
            # Whichever worker claims a job, the other one must leave the film to it.
            others = [asyncio.create_task(process(clients.this, asked, film, "")) for asked in clients[:2]]
            videos = [await to_the_end(clients.this, begun), *await asyncio.gather(*others)]

    assert [video.status for video in videos] == [READY] * 3, videos
    assert await database.fetchval("SELECT count(*) FROM encode_chunks") == 0


async def test_previous_client_uploads_and_watches(releases: Releases, clip: Path) -> None:
    command = [str(programs() / "gostream"), "upload", str(clip), "--watch", "--json"]
    with started(releases.workers[0]):
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--server", releases.stack.apis[0].address],
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "STATUS_READY"
