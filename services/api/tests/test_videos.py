"""Create, process, get and delete over the wire, with a real database, Redis and object store."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    CancelProcessRequest,
    CreateVideoRequest,
    DeleteVideoRequest,
    GetVideoRequest,
    ProcessOptions,
    TriggerProcessRequest,
)
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import Failure, Publication, Rendition, Source

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
    """Do a worker's part."""
    encode = await database.videos.begin_attempt(UUID(video_id), number, worker="w")
    await database.videos.mark_video_ready(encode, PUBLICATION)


async def jobs(database: PostgresDatabase) -> list[asyncpg.Record]:
    return await database.pool.fetch(
        "SELECT entrypoint, payload, execute_after - now() AS delay FROM pgqueuer ORDER BY id"
    )


async def test_a_created_video_is_read_back_and_its_source_uploaded(api: Any) -> None:
    before = datetime.now(UTC)
    created = await api.create(title="Été 🎬", user_id="ann", content_type="video/mp4", size_bytes=4)

    video, request = created.video, created.upload
    assert (video.status, video.version, video.playback_url) == (Video.STATUS_PENDING_UPLOAD, 1, "")
    assert (video.title, video.user_id) == ("Été 🎬", "ann")
    assert UUID(video.id).version == 7
    assert not video.HasField("processing")
    expires = request.expire_time.ToDatetime(UTC)
    assert before < expires < before + timedelta(hours=1, minutes=5)
    assert request.headers["Content-Type"] == "video/mp4"
    assert await api.upload(created, b"film") == 200
    assert await api.stub.GetVideo(GetVideoRequest(id=video.id)) == video


async def test_an_upload_of_another_size_than_announced_is_refused_by_the_store(api: Any) -> None:
    created = await api.create(size_bytes=4)

    assert await api.upload(created, b"another film") == 403


async def test_a_negative_entry_of_an_id_ends_with_its_creation(
    api: Any, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.warm()
    wanted = uuid4()
    assert (await refused(api.stub.GetVideo(GetVideoRequest(id=str(wanted))))).reason == "VIDEO_NOT_FOUND"
    monkeypatch.setattr("gostream_api.video_service.new_id", lambda: wanted)

    created = await api.create()

    assert await api.stub.GetVideo(GetVideoRequest(id=str(wanted))) == created.video


async def test_a_request_id_makes_creation_repeatable_and_admits_no_other_request(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    repeated = await asyncio.gather(*(api.create(request_id="r1") for _ in range(8)))

    refusal = await refused(api.stub.CreateVideo(CreateVideoRequest(title="Something else", request_id="r1")))

    assert len({created.video.id for created in repeated}) == 1
    assert all(created.upload.url for created in repeated)
    assert (refusal.reason, refusal.fields) == ("REQUEST_ID_REUSED", {"request_id"})
    assert await database.pool.fetchval("SELECT count(*) FROM videos") == 1


async def test_every_wrong_field_is_named_at_once(api: Any, refused: Any) -> None:
    refusal = await refused(
        api.stub.CreateVideo(
            CreateVideoRequest(
                title="a\nb" + "x" * 300,
                user_id="u" * 129,
                content_type="text/html",
                size_bytes=-1,
                request_id="\x00",
            )
        )
    )

    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == {"title", "user_id", "content_type", "size_bytes", "request_id"}


async def test_processing_needs_an_uploaded_source(api: Any, refused: Any) -> None:
    created = await api.create()

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=created.video.id)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SOURCE_NOT_UPLOADED")
    violation = refusal.details["PreconditionFailure"].violations[0]
    assert (violation.type, violation.subject) == ("SOURCE_NOT_UPLOADED", created.video.id)


async def test_a_source_that_is_too_large_is_not_processed(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(SOURCE_MAX_BYTES="3")
    video_id = await api.uploaded()

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))
    at_creation = await refused(api.stub.CreateVideo(CreateVideoRequest(title="x", size_bytes=4)))

    assert refusal.reason == "SOURCE_TOO_LARGE"
    assert at_creation.fields == {"size_bytes"}


async def test_processing_is_started_and_enqueued_once_however_often_it_is_asked_for(
    api: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()

    answers = await asyncio.gather(
        *(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)) for _ in range(8))
    )

    assert {(video.status, video.version) for video in answers} == {(Video.STATUS_PROCESSING, 2)}
    assert answers[0].processing.stage == "queued"
    assert answers[0].processing.encode_id == "1"
    assert [job["entrypoint"] for job in await jobs(database)] == ["transcode"]


async def test_nothing_is_started_when_the_job_cannot_be_enqueued(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await database.pool.execute("ALTER TABLE pgqueuer RENAME TO pgqueuer_away")

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))

    assert refusal.code == grpc.StatusCode.INTERNAL
    assert "pgqueuer" not in repr(refusal)
    assert (await database.videos.get(UUID(video_id))).version == 1


async def test_a_request_id_triggers_once_even_after_the_encode_has_ended(
    api: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    request = TriggerProcessRequest(id=video_id, request_id="r1")
    await api.stub.TriggerProcess(request)
    await publish(database, video_id)

    again = await api.stub.TriggerProcess(request)
    anew = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    assert again.status == Video.STATUS_READY
    assert (anew.status, anew.processing.encode_id) == (Video.STATUS_PROCESSING, "2")


async def test_a_video_that_is_processed_with_another_profile_is_not_joined(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await database.videos.start_encode(UUID(video_id), profile="other")

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))
    unknown = await refused(
        api.stub.TriggerProcess(TriggerProcessRequest(id=video_id, options=ProcessOptions(profile="other")))
    )

    assert refusal.reason == "ALREADY_PROCESSING"
    assert (unknown.reason, unknown.fields) == ("FIELD_INVALID", {"options.profile"})
    [violation] = unknown.details["BadRequest"].field_violations
    assert violation.description == "must be one of: default, quality"


async def test_a_profile_is_kept_with_the_encode(api: Any, refused: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    better = TriggerProcessRequest(id=video_id, options=ProcessOptions(profile="quality"))

    await api.stub.TriggerProcess(better)
    joined = await api.stub.TriggerProcess(better)
    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=video_id)))

    assert joined.processing.encode_id == "1"
    assert refusal.reason == "ALREADY_PROCESSING"
    for _ in range(2):
        assert (await database.videos.begin_attempt(UUID(video_id), 1, worker="w")).profile == "quality"


async def test_processing_is_cancelled_once_and_may_be_started_again(
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


async def test_what_was_published_outlives_a_cancelled_encode(api: Any, database: PostgresDatabase) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    await publish(database, video_id)
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    cancelled = await api.stub.CancelProcess(CancelProcessRequest(id=video_id))

    assert cancelled.playback_url.endswith(f"/hls/{video_id}/master.m3u8")


async def test_a_video_that_is_not_there_cannot_be_cancelled(api: Any, refused: Any) -> None:
    refusal = await refused(api.stub.CancelProcess(CancelProcessRequest(id=str(UUID(int=7)))))

    assert refusal.reason == "VIDEO_NOT_FOUND"


async def test_a_full_queue_refuses_new_encodes_and_not_repetitions(
    start_api: Callable[..., Awaitable[Any]], refused: Any
) -> None:
    api = await start_api(QUEUE_LIMIT="1")
    first, second = await api.uploaded(), await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=first))

    refusal = await refused(api.stub.TriggerProcess(TriggerProcessRequest(id=second)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert refusal.details["RetryInfo"].retry_delay.seconds > 0
    await api.stub.TriggerProcess(TriggerProcessRequest(id=first))


async def test_what_there_is_of_an_encode_can_be_played_until_it_is_ready(
    api: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    encode = await database.videos.begin_attempt(UUID(video_id), 1, worker="w")

    waiting = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=3))
    playable = await database.videos.mark_video_playable(encode)
    playing = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=playable.version))
    published = await database.videos.mark_video_ready(encode, PUBLICATION)
    ready = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=published.version))

    assert waiting.processing.playable_url == ready.processing.playable_url == ""
    assert playing.processing.playable_url == f"{CDN}/hls/{video_id}/v1/early.m3u8"
    assert playing.playback_url == ""


async def test_a_ready_video_has_a_playback_url_and_keeps_it_while_it_is_encoded_again(
    api: Any, database: PostgresDatabase
) -> None:
    video_id = await api.uploaded()
    await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    await publish(database, video_id)

    ready = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=4))
    again = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))
    encode = await database.videos.begin_attempt(UUID(video_id), 2, worker="w")
    failure = Failure(code="SOURCE_EMPTY", message="The upload is empty.", retryable=False, stage="probing")
    await database.videos.mark_video_failed(encode, failure)
    failed = await api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=7))

    url = f"{CDN}/hls/{video_id}/master.m3u8"
    assert [video.playback_url for video in (ready, again, failed)] == [url] * 3
    assert (ready.status, ready.width, ready.height) == (Video.STATUS_READY, 1280, 720)
    assert ready.duration.ToTimedelta() == PUBLICATION.duration
    assert ready.poster_url == f"{CDN}/hls/{video_id}/v1/poster.jpg"
    assert ready.storyboard_url == f"{CDN}/hls/{video_id}/v1/storyboard.vtt"
    assert again.status == Video.STATUS_PROCESSING
    assert (failed.status, failed.error.code) == (Video.STATUS_FAILED, "SOURCE_EMPTY")


async def test_x_cache_says_where_the_answer_came_from(api: Any) -> None:
    await api.warm()
    video_id = (await api.create()).video.id

    assert [await api.layer(video_id) for _ in range(2)] == ["MISS", "L1"]


async def test_a_writer_reads_its_own_write_at_once(api: Any) -> None:
    await api.warm()
    video_id = await api.uploaded()
    await api.stub.GetVideo(GetVideoRequest(id=video_id))

    triggered = await api.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    assert await api.stub.GetVideo(GetVideoRequest(id=video_id)) == triggered


async def test_another_replica_serves_a_version_that_is_asked_for(
    start_api: Callable[..., Awaitable[Any]],
) -> None:
    one, other = await start_api(), await start_api()
    await other.warm()
    video_id = await one.uploaded()
    await other.stub.GetVideo(GetVideoRequest(id=video_id))

    triggered = await one.stub.TriggerProcess(TriggerProcessRequest(id=video_id))

    request = GetVideoRequest(id=video_id, min_version=triggered.version)
    assert await other.stub.GetVideo(request) == triggered


async def test_a_version_that_was_never_reached_is_refused(api: Any, refused: Any) -> None:
    video_id = (await api.create()).video.id

    refusal = await refused(api.stub.GetVideo(GetVideoRequest(id=video_id, min_version=2**62)))

    assert refusal.reason == "VERSION_NOT_REACHED"


async def test_an_unknown_video_is_not_found_by_any_method(api: Any, refused: Any) -> None:
    unknown = str(uuid4())

    for call in (
        api.stub.GetVideo(GetVideoRequest(id=unknown)),
        api.stub.TriggerProcess(TriggerProcessRequest(id=unknown)),
        api.stub.DeleteVideo(DeleteVideoRequest(id=unknown)),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND")
        assert refusal.details["ResourceInfo"].resource_name == unknown


async def test_a_deleted_video_is_gone_and_its_objects_are_removed_later(
    api: Any, refused: Any, database: PostgresDatabase
) -> None:
    await api.warm()
    created = await api.create()
    await api.stub.GetVideo(GetVideoRequest(id=created.video.id))

    await api.stub.DeleteVideo(DeleteVideoRequest(id=created.video.id, etag=created.video.etag))

    assert (
        await refused(api.stub.GetVideo(GetVideoRequest(id=created.video.id)))
    ).reason == "VIDEO_NOT_FOUND"
    (job,) = await jobs(database)
    assert job["entrypoint"] == "remove"
    assert created.video.id.encode() in job["payload"]
    assert timedelta(seconds=30) < job["delay"] <= timedelta(minutes=1)


async def test_only_the_etag_that_was_read_deletes(api: Any, refused: Any) -> None:
    created = await api.create()

    for etag in ('"99"', "1", 'W/"1"', '"0"', '"1" ', '"1"\n', "x" * 10_000):
        refusal = await refused(api.stub.DeleteVideo(DeleteVideoRequest(id=created.video.id, etag=etag)))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")

    assert await api.stub.GetVideo(GetVideoRequest(id=created.video.id)) == created.video


async def test_a_deadline_ends_the_statement_that_waits_in_the_database(
    api: Any, database: PostgresDatabase, eventually: Any
) -> None:
    async def waiting() -> int:
        count: int = await database.pool.fetchval(
            """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        )
        return count

    async def nobody_waits() -> bool:
        return await waiting() == 0

    video_id = await api.uploaded()
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", UUID(video_id))
        call = api.stub.TriggerProcess(TriggerProcessRequest(id=video_id), timeout=2)
        await eventually(waiting)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        await eventually(nobody_waits, within=2)  # a statement's own limit is 5 s

    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await database.videos.get(UUID(video_id))).version == 1
