"""Playback of a video during its encode."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.domain.object_keys import early_master_key, encode_prefix, hls_prefix
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore
from gostream_worker.encode.encoder import Encoder, EncodeReport
from gostream_worker.jobs.verdict import DONE
from gostream_worker.publish.early_playback import EarlyStream, end_lists
from gostream_worker.publish.measure import Measured, measure
from gostream_worker.publish.uploader import EncodeUploader
from services.worker.tests import clips
from services.worker.tests.clips import Clips, make, picture, sound
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import attributes, broken_rules, durations, variants
from services.worker.tests.plan.test_ladder import plan

pytestmark = pytest.mark.stack

SECONDS = 24


def film(folder: Path) -> Path:
    """Four segments, in two rungs with sound."""
    return make(folder / "film.mp4", picture("640x360", SECONDS), sound(SECONDS))


def segment(folder: Path) -> Path:
    """Six seconds of video in a transport stream."""
    return make(folder / "segment.ts", picture(seconds=6), codecs=["-c:v", "libx264", "-g", "50"])


class SlowEncoder(Encoder):
    """Limits the encoder to three seconds of video per second."""

    async def run(self, arguments: Sequence[str], **options: Any) -> EncodeReport:
        return await super().run(["-readrate", "3", *arguments], **options)


def slowly(worker: Worker) -> None:
    worker.encoder = SlowEncoder(Path(get_ffmpeg_exe()), memory=8 << 30)


@asynccontextmanager
async def served(store: ObjectStore) -> AsyncIterator[str]:
    """Serves the object store to viewers and yields its address."""

    async def get(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await store.get(request.match_info["key"]))
        except ObjectNotFoundError:
            return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{key:.+}", get)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def played(url: str) -> tuple[int, str]:
    """Plays until the stream ends. Returns the number of frames and the errors."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-live_start_index", "0", "-i", url]
    process = await asyncio.create_subprocess_exec(
        *(*command, "-map", "0:v:0", "-map", "0:a:0", "-progress", "pipe:1", "-f", "null", "-"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(120):
            said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    frames = [line.partition(b"=")[2] for line in said.splitlines() if line.startswith(b"frame=")]
    return int(frames[-1]), complaints.decode()


async def until_playable(worker: Worker, video_id: UUID) -> None:
    async with asyncio.timeout(300):
        while not (await worker.video(video_id)).is_playable_early:
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_early_player_plays_to_the_end(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    slowly(worker)
    video_id = await worker.upload(clip(film))
    job = await worker.start(video_id)
    async with served(worker.dependencies.store) as address, asyncio.TaskGroup() as tasks:
        encoding = tasks.create_task(worker.attempts.transcode(job))
        await until_playable(worker, video_id)
        early = (await worker.published(video_id))["v1/early-360p.m3u8"].decode()
        playing = tasks.create_task(played(f"{address}/{early_master_key(video_id, 1)}"))
        await encoding

    assert playing.result() == (SECONDS * 25, "")
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in early
    assert "#EXT-X-ENDLIST" not in early
    assert sum(durations(early)) < SECONDS
    video = await worker.video(video_id)
    assert (video.status, video.is_playable_early) == (VideoStatus.READY, False)
    ended = (await worker.published(video_id))["v1/early-360p.m3u8"].decode()
    assert ended.startswith(early)
    assert ended.endswith("#EXT-X-ENDLIST\n")
    assert durations(ended) == [6, 6, 6, 6]
    assert len(worker.recorder.announced) == 2, "once as playable, once as ready"


@pytest.mark.slow
async def test_playable_stream_has_every_rung_and_sound(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    slowly(worker)
    video_id = await worker.upload(clip(film))
    async with asyncio.TaskGroup() as tasks:
        encoding = tasks.create_task(worker.attempts.transcode(await worker.start(video_id)))
        await until_playable(worker, video_id)
        published = await worker.published(video_id)
        await encoding

    assert "master.m3u8" not in published
    master = published["v1/early.m3u8"].decode()
    assert attributes(master, "RESOLUTION") == ["640x360", "320x180"]
    assert 'URI="early-audio.m3u8"' in master
    for playlist in [*variants(master), "early-audio.m3u8"]:
        text = published[f"v1/{playlist}"].decode()
        listed = [line for line in text.splitlines() if line.endswith(".ts")]
        assert listed
        assert all(f"v1/{name}" in published for name in listed)


async def test_attempts_never_reuse_segment_names(worker: Worker, clip: Clips) -> None:
    video_id = await worker.upload(clip(clips.plain))
    job = await worker.start(video_id)
    await worker.dependencies.database.encodes.begin_attempt(video_id, job.number, worker="one that died")
    left = f"{encode_prefix(video_id, 1)}180p/00000.ts"
    await worker.dependencies.store.put(left, b"what an early viewer saw", content_type="video/mp2t")

    await worker.attempts.transcode(job)

    assert (await worker.video(video_id)).status is VideoStatus.READY
    await worker.collect()
    published = await worker.published(video_id)
    assert {name for name in published if name.count("/") == 2} == {
        "v1/180p/00000-2.ts",
        "v1/180p/iframes-2.m3u8",
        "v1/180p/playlist-2.m3u8",
        "v1/audio/00000-2.ts",
        "v1/audio/playlist-2.m3u8",
    }
    assert await broken_rules(await worker.save(video_id)) == []


@pytest.mark.slow
async def test_early_playlists_end_when_the_encode_is_cancelled(
    worker: Worker, clip: Clips, tmp_path: Path
) -> None:
    slowly(worker)
    video_id = await worker.upload(clip(film))
    job = await worker.start(video_id)
    async with served(worker.dependencies.store) as address, asyncio.TaskGroup() as tasks:
        encoding = tasks.create_task(worker.attempts.transcode(job))
        await until_playable(worker, video_id)
        playing = tasks.create_task(played(f"{address}/{early_master_key(video_id, 1)}"))
        await worker.dependencies.database.encodes.cancel(video_id)
        await encoding

    frames, complaints = playing.result()
    assert 0 < frames < SECONDS * 25
    assert complaints == ""
    published = await worker.published(video_id)
    lists = [text.decode() for name, text in published.items() if name.startswith("v1/early-")]
    assert len(lists) == 3
    assert all(text.count("#EXT-X-ENDLIST") == 1 and text.endswith("#EXT-X-ENDLIST\n") for text in lists)
    await end_lists(worker.dependencies.store, video_id, 1)
    assert await worker.published(video_id) == published, "playlists are ended only once"


async def test_playlists_removed_while_ending_stay_removed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, video_id = worker.dependencies.store, uuid4()
    key = f"{encode_prefix(video_id, 1)}early-360p.m3u8"
    await store.put(key, b"#EXTM3U\n", content_type="text/plain")
    read = store.read_range

    async def read_then_removed(key: str, *, start: int, size: int, etag: str) -> bytes:
        data = await read(key, start=start, size=size, etag=etag)
        await store.delete([key])
        return data

    monkeypatch.setattr(store, "read_range", read_then_removed)
    await end_lists(store, video_id, 1)

    assert await worker.published(video_id) == {}


@pytest.mark.slow
async def test_late_worker_leaves_its_successors_playlists_unchanged(
    worker: Worker, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.progress.PUBLISH_INTERVAL", 60)
    slowly(worker)
    video_id = await worker.upload(clip(film))
    job = await worker.start(video_id)
    theirs = {f"v1/{name}.m3u8": f"its {name}".encode() for name in ("early", "early-360p", "early-audio")}
    async with asyncio.TaskGroup() as tasks:
        encoding = tasks.create_task(worker.attempts.transcode(job))
        await until_playable(worker, video_id)
        await worker.dependencies.database.encodes.begin_attempt(video_id, job.number, worker="successor")
        for name, text in theirs.items():
            await worker.dependencies.store.put(hls_prefix(video_id) + name, text, content_type="text/plain")

    assert encoding.result() == DONE
    published = await worker.published(video_id)
    assert {name: published[name] for name in theirs} == theirs
    assert [name for name in published if name.endswith(".ts")], "early viewers may still read the segments"


async def test_slow_store_does_not_delay_the_next_attempt(
    worker: Worker, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.publish.early_playback._HOLD", 0.2)
    slowly(worker)
    put = worker.dependencies.store.put

    async def stuck(key: str, body: bytes, *, content_type: str, cache_control: str = "") -> None:
        if "early" in key:
            await asyncio.Event().wait()
        await put(key, body, content_type=content_type, cache_control=cache_control)

    monkeypatch.setattr(worker.dependencies.store, "put", stuck)
    video_id = await worker.upload(clip(film))
    verdict = await worker.attempts.transcode(await worker.start(video_id))

    assert verdict.again_in is not None, "a transient outage"
    await worker.dependencies.database.encodes.begin_attempt(video_id, 1, worker="next")


class Grown:
    """An uploader whose video grows by six seconds per step. Records the playlists that are put."""

    patience = 1.0

    def __init__(self, clip: Path, *, standing: int = 0) -> None:
        self.standing = standing
        self._part = measure(clip.read_bytes())
        self.measured: dict[str, dict[str, Measured]] = {"360p": {}, "180p": {}}
        self.news = asyncio.Event()
        self.put: list[str] = []

    def grow(self, *names: str) -> None:
        for parts in map(self.measured.__getitem__, names or self.measured):
            parts[f"{len(parts):05d}.ts"] = self._part
        self.news.set()

    async def text(self, name: str) -> str:
        return "#EXTINF:6,\n" * self.standing

    async def put_once(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> None:
        self.put.append(f"{name.removesuffix('.m3u8')} {data.count(b'#EXTINF')}".removesuffix(" 0"))


@dataclass
class Early:
    """An early stream over the stored segments, with a fake clock and a record of its pauses."""

    grown: Grown
    encoded: asyncio.Event = field(default_factory=asyncio.Event)
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    async def follow(self, next_pause: Callable[[int], None], monkeypatch: pytest.MonkeyPatch) -> None:
        async def pause(_: asyncio.Event, seconds: float) -> None:
            self.pauses.append(seconds)
            next_pause(len(self.pauses))

        async def playable() -> None:
            self.grown.put.append("playable")

        monkeypatch.setattr("gostream_worker.publish.early_playback.wait_at_most", pause)
        uploader = cast("EncodeUploader", self.grown)
        made = plan(width=640, height=360)
        stream = EarlyStream(
            made, uploader, playable, nullcontext, follows=self.grown.standing > 0, clock=lambda: self.now
        )
        async with asyncio.timeout(300):
            await stream.follow(self.encoded)


async def test_stream_is_playable_once_every_rendition_has_begun(
    clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = Early(Grown(clip(segment)))

    def next_pause(number: int) -> None:
        match number:
            case 1:
                early.grown.grow("360p")
            case 2:
                early.grown.grow("180p")
            case _:
                early.encoded.set()

    early.grown.grow("360p")
    asyncio.get_running_loop().call_later(0.05, early.grown.grow, "180p")
    await early.follow(next_pause, monkeypatch)

    assert early.grown.put == [
        *("early-360p 1", "early-180p 1", "early", "playable"),
        *("early-360p 2", "early-180p 2"),
    ]


async def test_playlist_updates_slow_once_viewers_are_buffered(
    clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = Early(Grown(clip(segment)))

    def next_pause(number: int) -> None:
        early.grown.grow()
        early.now += 9 if number == 3 else 3
        if number == 5:
            early.encoded.set()

    early.grown.grow()
    await early.follow(next_pause, monkeypatch)

    # Seconds ahead of the viewer: 6 of 6, 9 of 12 (3 watched), 12 of 18, 9 of 24, 12.
    assert early.pauses == [3, 3, 6, 3, 6]


async def test_earlier_playlists_stay_until_the_attempt_catches_up(
    clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = Early(Grown(clip(segment), standing=2))
    early.grown.grow()
    asyncio.get_running_loop().call_later(0.05, early.grown.grow)

    await early.follow(lambda _: early.encoded.set(), monkeypatch)

    assert early.grown.put == ["early-360p 2", "early-180p 2", "early", "playable"]


async def test_one_segment_video_is_announced_once(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))

    assert len(worker.recorder.announced) == 1
    assert video.playable_number is None
    assert not [name for name in await worker.published(video.id) if "early" in name]
