"""Films in chunks: the jobs, with real database, object store and encoder."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import source_key
from gostream_shared.domain.video import Video, VideoStatus
from gostream_worker.encode.encoder import Encoder, EncodeReport
from services.worker.tests.chunks.fleet import Fleet
from services.worker.tests.clips import AAC, Clips, make, picture, sound
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, durations, play
from tests.support.pace import slowness

pytestmark = pytest.mark.stack
SECONDS = 45
#: The number of a try in the name of a segment.
_TRY = re.compile(rb"(?<=\d{5})-\d+(?=\.ts)")


def film(folder: Path) -> Path:
    """45 s with sound: four chunks, the first one of 12 s, and the sound."""
    codecs = ["-c:v", "mpeg4", "-q:v", "5", *AAC]
    return make(folder / "film.mp4", picture("320x180", SECONDS), sound(SECONDS), codecs=codecs)


@pytest.fixture
def fleet(worker: Worker, database: PostgresDatabase) -> Fleet:
    return Fleet(worker, database)


async def uploaded(fleet: Fleet, source: Path) -> Video:
    video_id = await fleet.worker.upload(source)
    await fleet.start(video_id)
    return await fleet.worker.video(video_id)


def digest(published: dict[str, bytes]) -> dict[str, str]:
    """The SHA-256 of every object, without the numbers of tries in names."""
    return {
        _TRY.sub(b"", name.encode()).decode(): hashlib.sha256(
            _TRY.sub(b"", data) if name.endswith("8") else data
        ).hexdigest()
        for name, data in published.items()
        if "early" not in name
    }


async def test_film_in_chunks_is_published(fleet: Fleet, clip: Clips) -> None:
    video = await uploaded(fleet, clip(film))
    video = await fleet.work(video.id)

    assert video.status is VideoStatus.READY, video.failure
    assert fleet.ran[0] == "transcode"
    assert fleet.ran[-1] == "finish"
    assert len(fleet.ran) >= 5
    published = await fleet.worker.published(video.id)
    thumbnails = {f"v1/{name}" for name in ("poster.jpg", "storyboard.jpg", "storyboard.vtt", "preview.webp")}
    assert thumbnails < set(published)
    assert sum(durations(published["v1/180p/playlist.m3u8"].decode())) == pytest.approx(SECONDS)
    assert video.attempt == 1
    master = await fleet.worker.save(video.id)
    assert await broken_rules(master) == []
    played = await asyncio.to_thread(play, master, 0)
    assert (played.frames, played.complaints) == (SECONDS * 25, "")
    assert fleet.worker.leftovers() == []
    assert fleet.worker.recorder.announced[-1] == (video.id, video.version)


async def test_bytes_do_not_depend_on_the_workers(fleet: Fleet, clip: Clips) -> None:
    trees = []
    for workers in (1, 3):
        video = await uploaded(fleet, clip(film))
        await fleet.work(video.id, workers=workers)
        trees.append(digest(await fleet.worker.published(video.id)))
    assert trees[0] == trees[1]
    assert len(trees[0]) > 20


@pytest.mark.slow
async def test_lost_try_leaves_nothing_that_is_published(fleet: Fleet, clip: Clips) -> None:
    first = await uploaded(fleet, clip(film))
    await fleet.work(first.id)
    lost = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    for chunk in (0, 2):  # workers that die after some PUTs
        await fleet.database.chunks.begin(lost.id, 1, chunk, worker="dead")
        left = f"hls/{lost.id}/v1/180p/{chunk * 2:05d}.ts"
        await fleet.worker.dependencies.store.put(left, b"left", content_type="video/mp2t")
    video = await fleet.work(lost.id)

    published = await fleet.worker.published(lost.id)
    assert {"v1/180p/00000.ts", "v1/180p/00000-2.ts"} <= set(published)
    await fleet.worker.collect()
    published = await fleet.worker.published(lost.id)
    assert "v1/180p/00000.ts" not in published
    assert digest(published) == digest(await fleet.worker.published(first.id))
    assert await broken_rules(await fleet.worker.save(lost.id)) == []
    assert video.status is VideoStatus.READY


async def test_chunk_that_kills_workers_fails_the_film(fleet: Fleet, clip: Clips) -> None:
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    for _ in range(3):
        await fleet.database.chunks.begin(video.id, 1, 2, worker="dead")

    video = await fleet.work(video.id)
    assert video.status is VideoStatus.FAILED
    assert video.failure is not None
    assert video.failure.code == "INTERNAL"
    assert "finish" not in fleet.ran
    while await fleet.step():
        pass
    assert (await fleet.worker.video(video.id)).version == video.version, "other chunks change nothing"


@pytest.mark.slow
async def test_replaced_source_is_encoded_from_its_beginning(fleet: Fleet, clip: Clips) -> None:
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    await fleet.step("chunk")
    await fleet.worker.dependencies.store.put(
        source_key(video.id), clip(other_film), content_type="video/mp4"
    )
    video = await fleet.work(video.id)

    assert (video.status, video.attempt) == (VideoStatus.READY, 2)
    assert fleet.ran.count("transcode") == 2
    await fleet.worker.collect()
    published = await fleet.worker.published(video.id)
    assert sum(durations(published["v1/180p/playlist-2.m3u8"].decode())) == pytest.approx(SECONDS + 1)
    assert await broken_rules(await fleet.worker.save(video.id)) == []


async def test_removed_source_fails_the_film(fleet: Fleet, clip: Clips) -> None:
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    await fleet.worker.dependencies.store.delete([source_key(video.id)])
    video = await fleet.work(video.id)
    assert video.failure is not None
    assert video.failure.code == "SOURCE_GONE"


def other_film(folder: Path) -> Path:
    codecs = ["-c:v", "mpeg4", "-q:v", "9", *AAC]
    return make(folder / "other.mp4", picture("320x180", SECONDS + 1), sound(SECONDS + 1), codecs=codecs)


async def test_cancelled_film_ends_its_chunks(fleet: Fleet, clip: Clips) -> None:
    slow = SlowEncoder(Path(get_ffmpeg_exe()), memory=8 << 30)
    fleet.worker.encoder = slow
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(fleet.step("chunk")) for _ in range(3)]
        async with asyncio.timeout(60):
            while len(slow.running) < 3:
                await asyncio.sleep(0.05)
        await fleet.database.encodes.cancel(video.id)
        async with asyncio.timeout(5 * slowness()):
            await asyncio.wait(running)

    assert slow.running == []
    assert fleet.worker.leftovers() == []
    while await fleet.step():
        pass
    await fleet.worker.collect()
    assert await fleet.worker.published(video.id) == {}


class SlowEncoder(Encoder):
    """Encodes at the speed of the film."""

    def __init__(self, program: Path, *, memory: int) -> None:
        super().__init__(program, memory=memory)
        self.running: list[Path] = []

    async def run(self, arguments: Sequence[str], *, folder: Path, **options: Any) -> EncodeReport:
        self.running.append(folder)
        try:
            return await super().run(["-readrate", "1", *arguments], folder=folder, **options)
        finally:
            self.running.remove(folder)


@pytest.mark.slow
async def test_outage_gives_the_chunk_back(
    fleet: Fleet, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    with monkeypatch.context() as patch:

        async def fails(*_: object, **__: object) -> None:
            raise BackendUnavailableError("object store")

        patch.setattr(fleet.worker.dependencies.store, "put", fails)
        for _ in range(5):
            await fleet.step("chunk")

    video = await fleet.work(video.id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 1)


async def test_chunk_of_the_film_without_answer_fails_it(fleet: Fleet, clip: Clips) -> None:
    fleet.worker.outage_patience = timedelta(0)
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")

    async def fails(*_: object, **__: object) -> None:
        raise BackendUnavailableError("object store")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.worker.dependencies.store, "put", fails)
        await fleet.step("chunk")
    video = await fleet.worker.video(video.id)
    assert video.failure is not None
    assert video.failure.code == "BACKEND_UNAVAILABLE"


@pytest.mark.slow
async def test_broken_film_is_encoded_by_one_worker(fleet: Fleet, clip: Clips) -> None:
    """The gate refuses the joined film."""
    video = await uploaded(fleet, clip(film))
    while await fleet.step("transcode", "chunk"):
        pass
    await fleet.database.pool.execute(
        "UPDATE encode_chunks SET segments = segments #- '{segments,0}' WHERE chunk = 2"
    )
    video = await fleet.work(video.id)

    assert (video.status, video.attempt) == (VideoStatus.READY, 2)
    assert fleet.ran[-2:] == ["finish", "transcode"]
    await fleet.worker.collect()
    assert await broken_rules(await fleet.worker.save(video.id)) == []


async def test_few_chunks_of_a_film_wait_at_once(fleet: Fleet, clip: Clips) -> None:
    fleet.worker.settings = replace(fleet.worker.settings, chunk_window=1)
    video = await uploaded(fleet, clip(film))
    await fleet.step("transcode")
    waiting = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'chunk'"
    counts = [await fleet.database.pool.fetchval(waiting)]
    while await fleet.step("chunk"):
        counts.append(await fleet.database.pool.fetchval(waiting))
    assert counts == [2, 2, 2, 2, 1, 0]
    assert (await fleet.work(video.id)).status is VideoStatus.READY


@pytest.mark.slow
async def test_texts_and_thumbnails_are_those_of_one_worker(fleet: Fleet, clip: Clips) -> None:
    trees = []
    for window in (8, 0):
        fleet.worker.settings = replace(fleet.worker.settings, chunk_window=window)
        video = await uploaded(fleet, clip(film_with_text))
        await fleet.work(video.id)
        published = await fleet.worker.published(video.id)
        kinds = (".vtt", ".jpg")
        trees.append({name: data for name, data in published.items() if name.endswith(kinds)})
    chunked, whole = trees
    assert sorted(chunked) == sorted(whole)
    assert "v1/text-de/subtitles.vtt" in chunked
    assert {name for name in chunked if chunked[name] != whole[name]} <= {
        "v1/storyboard.jpg",
        "v1/poster.jpg",
    }


def film_with_text(folder: Path) -> Path:
    cues = "".join(f"{n}\n00:00:{n:02d},000 --> 00:00:{n:02d},900\nLine {n}\n\n" for n in range(1, SECONDS))
    (folder / "text.srt").write_text(cues)
    tagged = ["-c:s", "srt", "-metadata:s:s:0", "language=ger"]
    codecs = ["-c:v", "mpeg4", "-q:v", "5", *AAC, *tagged]
    text = ["-i", str(folder / "text.srt")]
    return make(folder / "texts.mkv", picture("320x180", SECONDS), sound(SECONDS), text, codecs=codecs)
