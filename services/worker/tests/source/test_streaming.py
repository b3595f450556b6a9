"""Sources streamed from the store during the encode give the same results as copies."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gostream_shared.config import load
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage.port import StoredObject
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.config import WorkerConfig
from gostream_worker.failures import Code
from gostream_worker.source import range_reader
from services.worker.tests import clips
from services.worker.tests.attempt_hooks import after_probing
from services.worker.tests.clips import Clips, Recipe
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules, durations
from services.worker.tests.test_copying import fit
from tests.support.quick import first_quick
from tests.support.tcp_proxy import Proxy

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def _many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough that a clip has many blocks and none stays cached from probe to encode."""
    monkeypatch.setattr(range_reader, "BLOCK", 40_000)
    monkeypatch.setattr(range_reader, "KEPT", 1)


@pytest.fixture
def streaming(worker: Worker) -> Worker:
    """A worker that streams every source."""
    worker.settings = replace(worker.settings, max_copied_bytes=0)
    return worker


def lists(published: dict[str, bytes]) -> dict[str, list[float]]:
    """Segment durations. The bytes differ between runs because the encoder is threaded."""
    return {name: durations(data.decode()) for name, data in published.items() if "/playlist.m3u8" in name}


@pytest.mark.parametrize(
    "recipe",
    first_quick(
        [
            clips.long_enough_for_two_segments,
            clips.live_webm,
            clips.cut_beyond_the_end,
            clips.fragmented,
            fit,
        ],
        1,
    ),
    ids=lambda recipe: recipe.__name__,
)
async def test_streamed_source_publishes_the_same_as_copy(
    streaming: Worker, clip: Clips, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    streamed = await streaming.process(clip(recipe))
    streaming.settings = replace(streaming.settings, max_copied_bytes=1 << 30)
    copied = await streaming.process(clip(recipe))

    assert streamed.publication is not None, streamed.failure
    assert copied.publication is not None
    assert streamed.publication.source == copied.publication.source
    assert lists(await streaming.published(streamed.id)) == lists(await streaming.published(copied.id))
    assert await broken_rules(await streaming.save(streamed.id)) == []
    assert "aiohttp" not in {record.name.partition(".")[0] for record in caplog.records}, (
        "a departing reader is not logged"
    )


@pytest.mark.parametrize(
    ("recipe", "code"),
    first_quick(
        [
            (clips.empty, Code.SOURCE_EMPTY),
            (clips.playlist_without_magic, Code.UNSUPPORTED_CONTAINER),
            (clips.cut_before_index, Code.TRUNCATED),
            (clips.cut_after_index, Code.TRUNCATED),
            (clips.cut_matroska, Code.TRUNCATED),
            (clips.cut_first_fragment, Code.TRUNCATED),
            (clips.damaged, Code.CORRUPT_STREAM),
        ],
        2,
    ),
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_bad_streamed_source_fails_like_its_copy(
    streaming: Worker, clip: Clips, recipe: Recipe, code: Code
) -> None:
    video = await streaming.process(clip(recipe))

    assert video.failure is not None
    assert video.failure.code == code
    assert "master.m3u8" not in await streaming.published(video.id)


async def test_streamed_source_is_never_written_to_disk(
    streaming: Worker, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def look(url: str, folder: Path) -> None:
        seen.extend([url, *await asyncio.to_thread(os.listdir, folder)])

    after_probing(monkeypatch, look)
    await streaming.process(clip(clips.plain))

    [url] = seen
    assert url.startswith("http://127.0.0.1:")


@pytest.mark.slow
async def test_short_store_outage_does_not_end_the_attempt(
    streaming: Worker, clip: Clips, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_a_proxy(streaming, environment) as proxy:

        async def cut(url: str, folder: Path) -> None:
            proxy.refuses = True
            proxy.cut()
            asyncio.get_running_loop().call_later(2, setattr, proxy, "refuses", False)

        after_probing(monkeypatch, cut)
        video = await streaming.process(clip(clips.long_enough_for_two_segments))

    assert (video.status, video.attempt) == (VideoStatus.READY, 1), video.failure


@pytest.mark.slow
async def test_lasting_store_outage_costs_no_try(
    streaming: Worker, clip: Clips, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gostream_worker.source.open_source._STREAM_PATIENCE", 0.0)
    async with behind_a_proxy(streaming, environment) as proxy:
        video_id = await streaming.upload(clip(clips.long_enough_for_two_segments))
        job = await streaming.start(video_id)

        async def cut(url: str, folder: Path) -> None:
            proxy.refuses = True
            proxy.cut()

        with monkeypatch.context() as patch:
            after_probing(patch, cut)
            verdict = await streaming.attempts.transcode(job)
        assert verdict.again_in is not None
        assert (await streaming.video(video_id)).status is VideoStatus.PROCESSING
        assert streaming.leftovers() == []

        proxy.refuses = False
        encode = await streaming.dependencies.database.encodes.begin_attempt(
            video_id, job.number, worker="next"
        )
        assert (encode.attempt, encode.tries) == (2, 1)
        video = await streaming.service.run(encode)
        assert video is not None
        assert video.status is VideoStatus.READY


@pytest.mark.parametrize("max_copied", [0, 1 << 30], ids=["streamed", "copied"])
async def test_body_shorter_than_declared_is_truncated(
    streaming: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch, max_copied: int
) -> None:
    streaming.settings = replace(streaming.settings, max_copied_bytes=max_copied)
    head = streaming.dependencies.store.head

    async def boast(key: str) -> StoredObject:
        found = await head(key)
        return replace(found, size=found.size + 1)

    monkeypatch.setattr(streaming.dependencies.store, "head", boast)
    video = await streaming.process(clip(clips.plain))

    assert video.failure is not None
    assert (video.failure.code, video.failure.retryable) == (Code.TRUNCATED, False)


async def test_parallel_attempts_do_not_interfere(streaming: Worker, clip: Clips) -> None:
    first, second = await asyncio.gather(
        streaming.process(clip(clips.long_enough_for_two_segments)), streaming.process(clip(clips.live_webm))
    )

    assert (first.status, second.status) == (VideoStatus.READY, VideoStatus.READY)
    assert first.publication is not None
    assert second.publication is not None
    assert first.publication.source.container == "mov"
    assert second.publication.source.container == "matroska"


@asynccontextmanager
async def behind_a_proxy(worker: Worker, environment: dict[str, str]) -> AsyncIterator[Proxy]:
    """The worker reaches its store through a proxy."""
    endpoint = urlsplit(environment["S3_ENDPOINT_URL"])
    async with Proxy.to(endpoint.hostname or "", endpoint.port or 0) as proxy:
        moved = environment | {"S3_ENDPOINT_URL": f"http://{proxy.host}:{proxy.port}"}
        async with S3ObjectStore.open(load(WorkerConfig, moved)) as store:
            worker.dependencies = replace(worker.dependencies, store=store)
            yield proxy
