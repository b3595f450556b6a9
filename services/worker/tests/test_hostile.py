"""Bad and hostile sources fail with their code, publish nothing and do not stop the worker."""

import pytest

from gostream_shared.domain.video import VideoStatus
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.limits import SourceLimits, admit
from gostream_worker.probe.probe import probe_source

from . import clips
from .clips import Clips, Recipe
from .conftest import Worker
from .sound_only import sound_clips

LIMITS = SourceLimits(max_bytes=100 << 20, max_duration=3600)
REFUSED: list[tuple[Recipe, Code]] = [
    (clips.random_bytes, Code.SOURCE_NOT_MEDIA),
    (clips.text, Code.SOURCE_NOT_MEDIA),
    (clips.xml, Code.SOURCE_NOT_MEDIA),
    (clips.playlist, Code.UNSUPPORTED_CONTAINER),
    (clips.playlist_without_magic, Code.UNSUPPORTED_CONTAINER),
    (clips.concat_list, Code.UNSUPPORTED_CONTAINER),
    (clips.session_description, Code.UNSUPPORTED_CONTAINER),
    (clips.subtitles, Code.UNSUPPORTED_CONTAINER),
    (clips.png, Code.UNSUPPORTED_CONTAINER),
    (clips.avif, Code.UNSUPPORTED_CONTAINER),
    (clips.moving_avif, Code.UNSUPPORTED_CONTAINER),
    (clips.unlisted_codec, Code.UNSUPPORTED_CODEC),
    (sound_clips.empty_wav, Code.DURATION),
    (sound_clips.noise, Code.SOURCE_NOT_MEDIA),
    (sound_clips.half_a_day_and_more, Code.DURATION),
    (clips.encrypted, Code.ENCRYPTED_SOURCE),
    (clips.encrypted_sound, Code.ENCRYPTED_SOURCE),
    (clips.cut_before_index, Code.TRUNCATED),
    (clips.cut_in_the_index, Code.TRUNCATED),
    (clips.cut_after_index, Code.TRUNCATED),
    (clips.cut_first_fragment, Code.TRUNCATED),
    (clips.too_fast_for_its_size, Code.FRAME_RATE),
    (clips.tiny, Code.DIMENSIONS),
    (clips.huge, Code.DIMENSIONS),
    (clips.very_long, Code.DURATION),
]


@pytest.mark.parametrize(("recipe", "code"), REFUSED, ids=lambda value: getattr(value, "__name__", None))
async def test_bad_source_is_refused_before_the_encode(clip: Clips, recipe: Recipe, code: Code) -> None:
    path = clip(recipe)
    with pytest.raises(ProcessingFailedError) as error:
        admit(await probe_source(f"file:{path}", folder=path.parent), LIMITS)

    assert error.value.code is code
    assert not error.value.failure.retryable


@pytest.mark.stack
@pytest.mark.parametrize(
    ("recipe", "code", "stage"),
    [
        (clips.empty, Code.SOURCE_EMPTY, "fetching"),
        (clips.text, Code.SOURCE_NOT_MEDIA, "probing"),
        (clips.damaged, Code.CORRUPT_STREAM, "encoding"),
        (clips.cut_matroska, Code.TRUNCATED, "publishing"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_bad_source_fails_permanently_and_publishes_nothing(
    worker: Worker, clip: Clips, recipe: Recipe, code: Code, stage: str
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.FAILED
    assert video.failure is not None
    assert (video.failure.code, video.failure.stage) == (code, stage)
    assert not video.failure.retryable
    assert video.failure.message.endswith(".")
    assert video.attempt == 1
    assert "master.m3u8" not in await worker.published(video.id)
    assert worker.recorder.announced == [(video.id, video.version)]
    assert worker.leftovers() == []


@pytest.mark.stack
async def test_missing_source_fails_with_its_code(worker: Worker) -> None:
    video_id = await worker.upload(b"x")
    await worker.dependencies.store.delete([(await worker.video(video_id)).source_key])

    await worker.run_again(video_id)

    failure = (await worker.video(video_id)).failure
    assert failure is not None
    assert (failure.code, failure.stage) == (Code.SOURCE_GONE, "fetching")


@pytest.mark.stack
async def test_source_above_the_size_limit_is_not_fetched(worker: Worker, clip: Clips) -> None:
    worker.limit(max_bytes=1000)

    video = await worker.process(clip(clips.plain))

    assert video.failure is not None
    assert (video.failure.code, video.failure.stage) == (Code.TOO_LARGE, "fetching")


@pytest.mark.stack
async def test_slightly_damaged_source_is_published(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.scratched))

    assert video.status is VideoStatus.READY, video.failure
