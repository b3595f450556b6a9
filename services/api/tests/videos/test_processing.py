"""Processing over the wire: start, cancel, restart; the tests act as the worker."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    LOUDNESS_TARGET_LUFS_16,
    CancelProcessRequest,
    CreateVideoRequest,
    GetVideoRequest,
    ProcessOptions,
    TriggerProcessRequest,
)
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import Failure, Publication, Rendition, Source
from gostream_shared.domain.videos.loudness import LoudnessTarget

CDN = "http://cdn.test:8081"
PUBLICATION = Publication(
    duration=timedelta(seconds=12, milliseconds=40),
    source=Source(container="mov", codecs=("h264", "aac"), size_bytes=1234, fps=25.0),
    renditions=(
        Rendition(
            name="720p",
            width=1280,
            height=720,
            codecs="avc1.64001f,mp4a.40.2",
            average_bandwidth=2_000_000,
            peak_bandwidth=2_500_000,
        ),
    ),
    poster="v1/poster.jpg",
    storyboard="v1/storyboard.vtt",
)


async def publish(database: PostgresDatabase, video_id: str, number: int = 1) -> None:
    """Acts as the worker."""
    encode = await database.encodes.begin_attempt(UUID(video_id), number, worker="w")
    await database.encodes.mark_video_ready(encode, PUBLICATION)


async def jobs(database: PostgresDatabase) -> list[asyncpg.Record]:
    return await database.pool.fetch(
        "SELECT entrypoint, payload, execute_after - now() AS delay FROM pgqueuer ORDER BY id"
    )


async def test_processing_needs_an_uploaded_source(api: Any, refused: Any) -> None:
    created = await api.create()

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=created.video.id)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SOURCE_NOT_UPLOADED")
    violation = refusal.details["PreconditionFailure"].violations[0]
    assert (violation.type, violation.subject) == ("SOURCE_NOT_UPLOADED", created.video.id)


async def test_oversized_source_is_not_processed(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(SOURCE_MAX_BYTES="3", UPLOAD_SIZE_REQUIRED="false")
    created = await api.create(size_bytes=0)
    assert await api.upload(created) == 200
    video_id = created.video.id

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))
    at_creation = await refused(api.stub.CreateVideo(CreateVideoRequest(title="x", size_bytes=4)))

    assert refusal.reason == "SOURCE_TOO_LARGE"
    assert at_creation.fields == {"size_bytes"}


async def test_repeated_triggers_enqueue_one_job(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()

    answers = await asyncio.gather(
        *(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)) for _ in range(8))
    )

    assert {(video.status, video.version) for video in answers} == {(Video.STATUS_PROCESSING, 2)}
    assert answers[0].processing.stage == "queued"
    assert answers[0].processing.encode_id == "1"
    assert [job["entrypoint"] for job in await jobs(database)] == ["transcode"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        # The service waits for a missing schema.
        ("ALTER TABLE pgqueuer RENAME TO pgqueuer_away", grpc.StatusCode.UNAVAILABLE),
        ("ALTER TABLE pgqueuer ADD CHECK (false) NOT VALID", grpc.StatusCode.INTERNAL),
    ],
    ids=["missing table", "refused row"],
)
async def test_failed_enqueue_starts_nothing(
    api: Any, refused: Any, database: PostgresDatabase, fault: str, code: grpc.StatusCode
) -> None:
    video_id = await api.uploaded()
    await database.pool.execute(fault)

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))

    assert refusal.code == code
    assert "pgqueuer" not in repr(refusal)
    assert (await database.videos.get(UUID(video_id))).version == 1


async def test_request_id_triggers_one_encode(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    request = TriggerProcessRequest(id=video_id, request_id="r1")
    await api.stub.TriggerProcess(request)
    await publish(database, video_id)

    again = await api.stub.TriggerProcess(request)
    anew = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    assert again.status == Video.STATUS_READY
    assert (anew.status, anew.processing.encode_id) == (Video.STATUS_PROCESSING, "2")


async def test_trigger_with_another_profile_is_refused(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await database.encodes.start_encode(UUID(video_id), profile="other")

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))
    unknown = await refused(
        api.stub.TriggerProcess(TriggerProcessRequest(id=video_id, options=ProcessOptions(profile="other")))
    )

    assert refusal.reason == "ALREADY_PROCESSING"
    assert (unknown.reason, unknown.fields) == ("FIELD_INVALID", {"options.profile"})
    [violation] = unknown.details["BadRequest"].field_violations
    assert violation.description == "must be one of: default, quality"


async def test_loudness_is_kept_with_the_encode(api: Any, refused: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    louder = TriggerProcessRequest(id=video_id, options=ProcessOptions(loudness=LOUDNESS_TARGET_LUFS_16))

    await api.stub.TriggerProcess(louder)
    joined = await api.stub.TriggerProcess(louder)
    other = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))
    strange = ProcessOptions(loudness=9)  # type: ignore[arg-type]
    unknown = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id, options=strange)))

    assert joined.processing.encode_id == "1"
    assert other.reason == "ALREADY_PROCESSING"
    assert (unknown.reason, unknown.fields) == ("FIELD_INVALID", {"options.loudness"})
    begun = await database.encodes.begin_attempt(UUID(video_id), 1, worker="w")
    assert begun.loudness is LoudnessTarget.LUFS_16


async def test_sound_may_be_uploaded(api: Any) -> None:
    created = await api.stub.CreateVideo(
        CreateVideoRequest(title="T", user_id="u", size_bytes=4, content_type="audio/mpeg")
    )

    assert dict(created.upload.headers)["Content-Type"] == "audio/mpeg"


async def test_profile_is_kept_with_the_encode(api: Any, refused: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    better = TriggerProcessRequest(id=video_id, options=ProcessOptions(profile="quality"))

    await api.stub.TriggerProcess(better)
    joined = await api.stub.TriggerProcess(better)
    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))

    assert joined.processing.encode_id == "1"
    assert refusal.reason == "ALREADY_PROCESSING"
    for _ in range(2):
        assert (await database.encodes.begin_attempt(UUID(video_id), 1, worker="w")).profile == "quality"


async def test_cancelled_processing_can_be_restarted(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    cancelled = await api.stub.CancelProcess(CancelProcessRequest(id=video_id))
    refusal = await refused(api.stub.CancelProcess(CancelProcessRequest(id=video_id)))
    again = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    assert (cancelled.status, cancelled.version) == (Video.STATUS_CANCELLED, 3)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_PROCESSING")
    assert (again.status, again.processing.encode_id) == (Video.STATUS_PROCESSING, "2")


async def test_publication_survives_a_cancelled_encode(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    await publish(database, video_id)
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    cancelled = await api.stub.CancelProcess(CancelProcessRequest(id=video_id))

    assert cancelled.playback_url.endswith(f"/hls/{video_id}/master.m3u8")


async def test_missing_video_cannot_be_cancelled(api: Any, refused: Any) -> None:
    refusal = await refused(api.stub.CancelProcess(CancelProcessRequest(id=str(UUID(int=7)))))

    assert refusal.reason == "VIDEO_NOT_FOUND"


async def test_full_queue_refuses_only_new_encodes(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(QUEUE_LIMIT="1")
    first, second = await api.uploaded(), await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=first))

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=second)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert refusal.details["RetryInfo"].retry_delay.seconds > 0
    await api.stub.TriggerProcess(TriggerProcessRequest(id=first))


async def test_playable_url_is_set_until_ready(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    encode = await database.encodes.begin_attempt(UUID(video_id), 1, worker="w")

    waiting = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=3))
    playable = await database.encodes.mark_video_playable(encode)
    playing = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=playable.version))
    published = await database.encodes.mark_video_ready(encode, PUBLICATION)
    ready = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=published.version))

    assert waiting.processing.playable_url == ready.processing.playable_url == ""
    assert playing.processing.playable_url == f"{CDN}/hls/{video_id}/v1/early.m3u8"
    assert playing.playback_url == ""


async def test_playback_url_is_kept_during_a_re_encode(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    await publish(database, video_id)

    ready = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=4))
    again = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    encode = await database.encodes.begin_attempt(UUID(video_id), 2, worker="w")
    failure = Failure(code="SOURCE_EMPTY", message="The upload is empty.", retryable=False, stage="probing")
    await database.encodes.mark_video_failed(encode, failure)
    failed = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=7))

    url = f"{CDN}/hls/{video_id}/master.m3u8"
    assert [video.playback_url for video in (ready, again, failed)] == [url] * 3
    assert (ready.status, ready.width, ready.height) == (Video.STATUS_READY, 1280, 720)
    assert ready.duration.ToTimedelta() == PUBLICATION.duration
    assert ready.poster_url == f"{CDN}/hls/{video_id}/v1/poster.jpg"
    assert ready.storyboard_url == f"{CDN}/hls/{video_id}/v1/storyboard.vtt"
    assert again.status == Video.STATUS_PROCESSING
    assert (failed.status, failed.error.code) == (Video.STATUS_FAILED, "SOURCE_EMPTY")
