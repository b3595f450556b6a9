"""Probing a streamed source: bytes fetched and facts found."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.probe.limits import SourceLimits
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import probe_source
from gostream_worker.source.open_source import OpenSource, open_source
from services.worker.tests import clips, test_copying
from services.worker.tests.clips import Clips, Recipe, ffmpeg, picture, sound
from tests.support.quick import first_quick

pytestmark = pytest.mark.stack

_LIMITS = SourceLimits(max_bytes=1 << 30, max_duration=3600)
#: Minimum bytes of the large sources, and maximum bytes that may be fetched.
_LARGE, _BOUND = 150_000_000, 75_000_000
_NOISE = ["-vf", "noise=alls=60:allf=t", "-pix_fmt", "yuv420p"]
_RATE = ["-b:v", "40M", "-maxrate", "40M", "-bufsize", "20M", "-g", "25"]
_NEW = ["-c:v", "libx264", "-preset", "ultrafast", *_RATE, *_NOISE, "-c:a", "aac"]
_OLD = ["-c:v", "mpeg4", *_RATE, *_NOISE, "-c:a", "mp2"]
_FRAGMENTS = ["-movflags", "frag_keyframe+empty_moov+default_base_moof"]


def large(name: str, codecs: list[str], *muxing: str) -> Recipe:
    """Repeated noise, in the container of the file name."""

    def make(folder: Path) -> Path:
        once, path = folder / f"once-{name}.mkv", folder / name
        ffmpeg("-v", "error", *picture("1280x720", 4), *sound(4), *codecs, str(once))
        times = _LARGE // once.stat().st_size + 1
        ffmpeg("-v", "error", "-stream_loop", str(times), "-i", str(once), "-c", "copy", *muxing, str(path))
        once.unlink()
        return path

    make.__name__ = name
    return make


#: One for each way of reading; the others are slow tests.
LARGE = [
    large("index-at-the-end.mp4", _NEW),
    large("fragments.mp4", _NEW, *_FRAGMENTS),
    large("live.mkv", _NEW, "-live", "1"),
    large("broadcast.ts", _NEW),
]
MORE_LARGE = [
    large("index-in-front.mov", _NEW, "-movflags", "faststart"),
    large("cues.mkv", _NEW),
    large("flash.flv", _NEW),
    large("old.avi", _OLD),
    large("older.mpg", ["-c:v", "mpeg2video", *_RATE, *_NOISE, "-c:a", "mp2"]),
    large("windows.asf", _OLD),
]


@asynccontextmanager
async def streamed(
    store: S3ObjectStore, path: Path, folder: Path, patch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[OpenSource, list[int]]]:
    """Serves the file as a streamed source. Also returns the sizes of the fetched ranges."""
    fetched: list[int] = []
    read_range = store.read_range

    async def count(key: str, *, start: int, size: int, etag: str) -> bytes:
        fetched.append(size)
        return await read_range(key, start=start, size=size, etag=etag)

    video_id = uuid4()
    await store.put(source_key(video_id), path, content_type="video/mp4")
    try:
        with patch.context() as patched:
            patched.setattr(store, "read_range", count)
            async with open_source(store, source_key(video_id), folder, _LIMITS, max_copied=0) as source:
                yield source, fetched
    finally:
        await store.delete([source_key(video_id)])


async def served_probe(
    store: S3ObjectStore, path: Path, folder: Path, patch: pytest.MonkeyPatch
) -> tuple[Probe, int]:
    """Returns the probe and the number of bytes fetched."""
    async with streamed(store, path, folder, patch) as (source, fetched):
        probe = await probe_source(source.url, folder=folder, patience=source.patience)
    return probe, sum(fetched)


@pytest.mark.parametrize(
    "recipe",
    first_quick([*LARGE, *MORE_LARGE]),
    ids=lambda recipe: recipe.__name__,
)
async def test_probe_fetches_little_of_a_large_source(
    store: S3ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    path = recipe(tmp_path)
    copied = await probe_source(f"file:{path}", folder=tmp_path)

    probe, fetched = await served_probe(store, path, tmp_path, monkeypatch)

    assert path.stat().st_size > _LARGE
    assert fetched < _BOUND
    assert probe.duration == pytest.approx(copied.duration, abs=5), (
        "a stream misses at most the last fragment"
    )
    assert probe.video
    assert copied.video
    assert (probe.container, probe.video.codec) == (copied.container, copied.video.codec)
    assert make_plan(probe, DEFAULT_PROFILE).fps == make_plan(copied, DEFAULT_PROFILE).fps


@pytest.mark.parametrize(
    "recipe",
    first_quick(
        [
            *(test_copying.fit, test_copying.irregular, test_copying.one_rung, test_copying.open_groups),
            *(
                test_copying.far_apart,
                test_copying.too_many_bits,
                test_copying.main_10,
                test_copying.unsteady,
            ),
            *(
                test_copying.turned,
                test_copying.mirrored,
                test_copying.of_two_minds,
                test_copying.changing,
                clips.cut_beyond_the_end,
                clips.cut_between_key_frames,
            ),
            *(clips.one_frame, clips.variable_rate),
        ],
        3,
    ),
    ids=lambda recipe: recipe.__name__,
)
async def test_table_index_gives_the_same_result_as_packets(
    store: S3ObjectStore, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    path = clip(recipe)

    probe, _ = await served_probe(store, path, tmp_path, monkeypatch)

    assert probe == await probe_source(f"file:{path}", folder=path.parent)


@pytest.mark.parametrize("recipe", [clips.late_sound, clips.size_change], ids=lambda recipe: recipe.__name__)
async def test_broadcast_probe_misses_only_clock_restarts(
    store: S3ObjectStore, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    path = clip(recipe)

    probe, _ = await served_probe(store, path, tmp_path, monkeypatch)

    copied = await probe_source(f"file:{path}", folder=path.parent)
    # Only a copy is read to the end: pauses, track ends and key frames are unknown (decision 0105).
    assert probe.video is not None
    assert copied.video is not None
    audio = probe.audio
    if audio is not None and copied.audio is not None:
        audio = replace(audio, ends=copied.audio.ends)
    whole = replace(
        probe,
        duration=copied.duration,
        picture_ends=copied.picture_ends,
        longest_pause=copied.longest_pause,
        video=replace(probe.video, seek_gap=copied.video.seek_gap),
        audio=audio,
    )
    assert whole == copied
    assert 0 < probe.duration <= copied.duration + 0.1


async def test_false_key_frames_are_recognised(
    store: S3ObjectStore, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_idr(folder: Path) -> Path:
        refreshed = [*test_copying._SMALL, "-bf", "0", "-x264-params", "intra-refresh=1"]
        return test_copying.made(folder, "refreshed.mp4", video=refreshed)

    probe, _ = await served_probe(store, clip(without_idr), tmp_path, monkeypatch)

    assert probe.video
    assert probe.video.scan is None


@pytest.mark.parametrize(
    "recipe", first_quick([test_copying.fit_matroska, clips.fragmented], 1), ids=lambda r: r.__name__
)
async def test_source_without_an_index_is_not_copied(
    store: S3ObjectStore, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    probe, _ = await served_probe(store, clip(recipe), tmp_path, monkeypatch)

    assert probe.video
    assert probe.video.scan is None
