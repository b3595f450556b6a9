"""A part of a source through the pipeline: the frames, sound, subtitles and poster that were asked for."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from gostream_conformance.formats.subtitles import parse_text
from gostream_shared.domain.errors import AlreadyProcessingError
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.options import EncodeOptions
from services.worker.tests.clips import AAC, X264, Clips, Recipe, ffmpeg, make, sound
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import average_color, broken_rules, durations
from services.worker.tests.tracks import track_clips
from tests.corpus.lip_sync import distances, flashes

pytestmark = pytest.mark.stack
#: Of 25 a second, with room for the rounding of times. The pictures of the stream begin one frame late.
FRAME = 0.041


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def film(folder: Path) -> Path:
    """12 s, with a flash and a beep every two seconds; every track could be copied."""
    drawn = "color=black:size=320x180:rate=25:duration=12"
    drawn += ",drawbox=c=white:t=fill:enable='lt(mod(t+0.001\\,2)\\,0.08)'"
    wave = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t\\,2)\\,0.08)+0.04*(random(0)-0.5)':s=48000:d=12:c=stereo"
    inputs = [["-f", "lavfi", "-i", source] for source in (drawn, wave)]
    return make(folder / "film.mp4", *inputs, codecs=[*X264, "-g", "50", "-bf", "2", *AAC])


def film_as_stream(folder: Path) -> Path:
    ffmpeg("-v", "error", "-i", str(film(folder)), "-c", "copy", str(folder / "film.ts"))
    return folder / "film.ts"


async def processed(worker: Worker, source: Path, options: EncodeOptions) -> Video:
    video_id = await worker.upload(source)
    await worker.attempts.transcode(await worker.start(video_id, options=options))
    return await worker.video(video_id)


def joined(published: Mapping[str, bytes], folder: str, to: Path) -> Path:
    parts = sorted(name for name in published if name.startswith(folder) and name.endswith(".ts"))
    to.write_bytes(b"".join(published[name] for name in parts))
    return to


@pytest.mark.parametrize("recipe", [film, film_as_stream])
@pytest.mark.parametrize(("start", "end"), [(3.0, 9.0), (2.96, None), (None, 5.52)])
async def test_clip_has_the_frames_and_sound_asked_for(
    worker: Worker, clip: Clips, recipe: Recipe, start: float | None, end: float | None, tmp_path: Path
) -> None:
    asked = EncodeOptions(
        start=None if start is None else seconds(start), end=None if end is None else seconds(end)
    )
    video = await processed(worker, clip(recipe), asked)

    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    lasts = (end or 12.0) - (start or 0.0)
    assert video.publication.duration.total_seconds() == pytest.approx(lasts, abs=2 * FRAME)
    assert await broken_rules(await worker.save(video.id)) == []
    published = await worker.published(video.id)
    heard = sum(durations(published["v1/audio/playlist.m3u8"].decode()))
    assert heard == pytest.approx(lasts, abs=0.1)
    pictures = joined(published, "v1/180p/", tmp_path / "picture.ts")
    sounds = joined(published, "v1/audio/", tmp_path / "sound.ts")
    first = 2 * -(-(start or 0.001) // 2) - (start or 0.0)
    assert flashes(pictures)[0] - 10 == pytest.approx(first, abs=FRAME)
    assert max(map(abs, distances(pictures, sounds))) < FRAME


async def test_cues_are_moved_and_cut(worker: Worker, clip: Clips) -> None:
    options = EncodeOptions(start=seconds(1), end=seconds(2.52))
    video = await processed(worker, clip(track_clips.movie_text), options)

    published = await worker.published(video.id)
    cues = parse_text(published["v1/text-en/subtitles.vtt"]).cues
    assert [(cue.start, cue.end) for cue in cues] == [(0, 500), (1000, 1520)]


def two_colours(folder: Path) -> Path:
    """2 s of red, then 2 s of blue."""
    drawn = "color=c={}:size=320x180:rate=25:duration=2"
    parts = [["-f", "lavfi", "-i", drawn.format(name)] for name in ("red", "blue")]
    graph = ["-filter_complex", "[0:v][1:v]concat[v]", "-map", "[v]", "-map", "2:a"]
    return make(folder / "colours.mp4", *parts, sound(4), codecs=[*graph, *X264, *AAC])


async def poster_is_blue(worker: Worker, video: Video) -> bool:
    master = await worker.save(video.id)
    red, _, blue = await asyncio.to_thread(average_color, master.parent / "v1/poster.jpg")
    return blue > red


async def test_poster_shows_the_time_asked_for(worker: Worker, clip: Clips) -> None:
    for at, is_blue in ((0.0, False), (1.99, False), (2.0, True), (3.98, True)):
        video = await processed(worker, clip(two_colours), EncodeOptions(poster_at=seconds(at)))
        red, _, blue = await asyncio.to_thread(
            average_color, (await worker.save(video.id)).parent / "v1/poster.jpg"
        )
        assert (blue > red) == is_blue, at


async def test_poster_time_counts_from_the_clip(worker: Worker, clip: Clips) -> None:
    options = EncodeOptions(start=seconds(1), end=seconds(4), poster_at=seconds(1.5))
    video = await processed(worker, clip(two_colours), options)

    red, _, blue = await asyncio.to_thread(
        average_color, (await worker.save(video.id)).parent / "v1/poster.jpg"
    )
    assert blue > red


@pytest.mark.parametrize(
    "options",
    [
        EncodeOptions(start=seconds(4)),
        EncodeOptions(end=seconds(60)),
        EncodeOptions(poster_at=seconds(4)),
        EncodeOptions(start=seconds(2), poster_at=seconds(2)),
    ],
)
async def test_time_outside_the_film_fails(worker: Worker, clip: Clips, options: EncodeOptions) -> None:
    video = await processed(worker, clip(two_colours), options)

    assert video.failure is not None
    assert (video.failure.code, video.failure.retryable) == ("CLIP", False)
    assert "but the video lasts" in video.failure.message


async def test_every_attempt_has_the_same_options(worker: Worker, clip: Clips) -> None:
    options = EncodeOptions(start=seconds(0.5), poster_at=seconds(1), downloads=("audio",))
    video_id = await worker.upload(clip(two_colours))
    job = await worker.start(video_id, options=options)
    encodes = worker.dependencies.database.encodes

    for _ in range(2):
        encode = await encodes.begin_attempt(video_id, job.number, worker="test")
        assert encode.options == options


async def test_running_encode_of_other_options_is_kept(worker: Worker) -> None:
    video_id = await worker.upload(b"x")
    await worker.start(video_id, options=EncodeOptions(start=seconds(1)))

    assert await again(worker, video_id, EncodeOptions(start=seconds(1))) is None
    with pytest.raises(AlreadyProcessingError):
        await again(worker, video_id, EncodeOptions())


async def again(worker: Worker, video_id: UUID, options: EncodeOptions) -> object:
    return await worker.dependencies.database.encodes.start_encode(
        video_id, profile="default", options=options
    )
