"""The video repository on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from gostream_devstack.servers.postgres import Postgres
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import (
    AlreadyProcessingError,
    BackendUnavailableError,
    EtagMismatchError,
    FenceLostError,
    GoStreamError,
    NotProcessingError,
    RequestIdReusedError,
    VideoNotFoundError,
)
from gostream_shared.domain.jobs import TranscodeJob
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_shared.domain.video import PREDECESSORS, Failure, Publication, Rendition, Source, VideoStatus
from gostream_shared.domain.videos.listing import Position, VideoFilter

FAILURE = Failure(code="SOURCE_EMPTY", message="The upload is empty.", retryable=False, stage="probing")
PUBLICATION = Publication(
    duration=timedelta(seconds=12.04),
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
    tracks=(
        Track(id="audio-1", kind=TrackKind.AUDIO, state=TrackState.READY, language="de", channels=2),
        Track(
            id="subtitles-2",
            kind=TrackKind.SUBTITLES,
            state=TrackState.SKIPPED,
            error_code=TrackCode.IMAGE_SUBTITLES,
        ),
    ),
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    async with PostgresDatabase.open(database_url) as database:
        yield database


def new_video(**changes: object) -> NewVideo:
    plain = NewVideo(id=uuid4(), user_id="ann", title="Holiday", content_type="video/mp4")
    return replace(plain, **changes)  # type: ignore[arg-type]  # the tests pass field names only


async def processing(database: PostgresDatabase) -> Encode:
    video = await database.videos.create(new_video())
    encode = await database.encodes.start_encode(video.id, profile="default")
    assert encode is not None
    return await database.encodes.begin_attempt(video.id, encode.number, worker="w1")


async def outbox_of(database: PostgresDatabase, video_id: UUID) -> list[int]:
    rows = await database.pool.fetch(
        "SELECT version FROM cache_outbox WHERE video_id = $1 ORDER BY version", video_id
    )
    return [row["version"] for row in rows]


async def test_created_video_is_pending_upload_at_version_1(database: PostgresDatabase) -> None:
    created = await database.videos.create(new_video(title="Été 🎬"))

    assert created.status is VideoStatus.PENDING_UPLOAD
    assert (created.version, created.title) == (1, "Été 🎬")
    assert await database.videos.get(created.id) == created


async def test_request_id_makes_creation_idempotent(
    database: PostgresDatabase,
) -> None:
    first = await database.videos.create(new_video(request_id="r1", fingerprint="a"))

    assert await database.videos.create(new_video(request_id="r1", fingerprint="a")) == first
    assert (await database.videos.create(new_video(request_id="r1", user_id="bob"))).id != first.id
    with pytest.raises(RequestIdReusedError):
        await database.videos.create(new_video(request_id="r1", fingerprint="b"))


async def test_published_video_is_read_back_unchanged(database: PostgresDatabase) -> None:
    encode = await processing(database)

    ready = await database.encodes.mark_video_ready(encode, PUBLICATION)

    assert ready.status is VideoStatus.READY
    assert ready.publication == PUBLICATION
    assert ready.published_number == encode.number
    assert ready.ready_at is not None
    assert await database.videos.get(encode.video_id) == ready


async def test_failed_re_encode_keeps_the_publication(database: PostgresDatabase) -> None:
    encode = await processing(database)
    await database.encodes.mark_video_ready(encode, PUBLICATION)
    again = await database.encodes.start_encode(encode.video_id, profile="default")
    assert again is not None
    assert again.number == encode.number + 1
    attempt = await database.encodes.begin_attempt(again.video_id, again.number, worker="w1")

    failed = await database.encodes.mark_video_failed(attempt, FAILURE, log_tail="moov atom not found")

    assert (failed.status, failed.failure) == (VideoStatus.FAILED, FAILURE)
    assert (failed.published_number, failed.publication) == (encode.number, PUBLICATION)


async def test_every_write_raises_version_and_adds_outbox_row(database: PostgresDatabase) -> None:
    encode = await processing(database)  # create, start, begin
    await database.encodes.mark_video_ready(encode, PUBLICATION)
    await database.pool.execute("UPDATE videos SET title = 'typed into psql' WHERE id = $1", encode.video_id)
    version = await database.videos.delete(encode.video_id)

    assert version == 6
    assert await outbox_of(database, encode.video_id) == [1, 2, 3, 4, 5, 6]


async def test_progress_changes_no_version(database: PostgresDatabase) -> None:
    encode = await processing(database)
    before = await database.videos.get(encode.video_id)

    await database.encodes.report_progress(encode, Progress(stage="encoding", percent=40.5))

    assert await database.videos.get(encode.video_id) == before
    assert await database.encodes.progress(encode.video_id, encode.number) == Progress(
        stage="encoding", percent=40.5
    )


async def test_encode_is_playable_early_until_it_ends(
    database: PostgresDatabase,
) -> None:
    encode = await processing(database)

    playable = await database.encodes.mark_video_playable(encode)
    assert await database.encodes.mark_video_playable(encode) == playable, "the second call changes nothing"
    ready = await database.encodes.mark_video_ready(encode, PUBLICATION)
    await database.encodes.start_encode(encode.video_id, profile="default")

    assert playable.version < ready.version, "the version rises for the caches"
    again = await database.videos.get(encode.video_id)
    assert [video.is_playable_early for video in (playable, ready, again)] == [True, False, False]


async def test_concurrent_starts_create_one_encode(database: PostgresDatabase) -> None:
    video = await database.videos.create(new_video())

    started = await asyncio.gather(
        *(database.encodes.start_encode(video.id, profile="default") for _ in range(8))
    )

    assert [encode.number for encode in started if encode is not None] == [1]
    with pytest.raises(AlreadyProcessingError):
        await database.encodes.start_encode(video.id, profile="other")


async def test_request_id_starts_one_encode_only(database: PostgresDatabase) -> None:
    video = await database.videos.create(new_video())
    first = await database.encodes.start_encode(video.id, profile="default", request_id="r1")
    assert first is not None
    while_running = await database.encodes.start_encode(video.id, profile="default", request_id="r1")
    begun = await database.encodes.begin_attempt(video.id, first.number, worker="w1")
    await database.encodes.mark_video_ready(begun, PUBLICATION)

    afterwards = await database.encodes.start_encode(video.id, profile="default", request_id="r1")
    with pytest.raises(RequestIdReusedError):
        await database.encodes.start_encode(video.id, profile="other", request_id="r1")
    anew = await database.encodes.start_encode(video.id, profile="default", request_id="r2")

    assert (while_running, afterwards) == (None, None)
    assert anew is not None
    assert anew.number == 2


async def test_waiting_encodes_are_counted_until_started(database: PostgresDatabase) -> None:
    videos = [await database.videos.create(new_video(id=uuid4())) for _ in range(4)]
    for video in videos:
        await database.encodes.start_encode(video.id, profile="default")
    await database.encodes.begin_attempt(videos[0].id, 1, worker="w1")
    await database.videos.delete(videos[1].id)

    assert await database.encodes.count_waiting(at_most=100) == 2
    assert await database.encodes.count_waiting(at_most=1) == 1


@pytest.mark.parametrize(
    "act",
    ["report_progress", "mark_video_playable", "lock_for_publish", "mark_video_ready", "mark_video_failed"],
)
async def test_superseded_attempt_cannot_write(database: PostgresDatabase, act: str) -> None:
    zombie = await processing(database)
    await database.encodes.begin_attempt(zombie.video_id, zombie.number, worker="w2")
    arguments = {
        "report_progress": (Progress(stage="encoding"),),
        "mark_video_playable": (),
        "lock_for_publish": (),
        "mark_video_ready": (PUBLICATION,),
        "mark_video_failed": (FAILURE,),
    }[act]

    with pytest.raises(FenceLostError):
        await getattr(database.encodes, act)(zombie, *arguments)


@pytest.mark.parametrize("end", ["cancel", "delete"])
async def test_cancel_and_delete_revoke_the_fence(database: PostgresDatabase, end: str) -> None:
    encode = await processing(database)

    repository = database.encodes if end == "cancel" else database.videos
    await getattr(repository, end)(encode.video_id)

    with pytest.raises(FenceLostError):
        await database.encodes.mark_video_ready(encode, PUBLICATION)
    with pytest.raises(FenceLostError):
        await database.encodes.begin_attempt(encode.video_id, encode.number, worker="w2")


async def test_row_is_locked_while_the_master_is_written(database: PostgresDatabase) -> None:
    encode = await processing(database)

    async with database.transaction() as transaction:
        await transaction.encodes.lock_for_publish(encode)
        rival = asyncio.create_task(database.encodes.cancel(encode.video_id))
        await asyncio.sleep(0.2)
        assert not rival.done()
        await transaction.encodes.mark_video_ready(encode, PUBLICATION)

    with pytest.raises(NotProcessingError):
        await rival


async def test_only_legal_transitions_are_accepted(database: PostgresDatabase) -> None:
    """Every status with every action: the guards in SQL match the domain's table."""

    async def reach(status: VideoStatus) -> Encode:
        if status is VideoStatus.PENDING_UPLOAD:
            video = await database.videos.create(new_video())
            return Encode(video_id=video.id, number=0, attempt=0)
        encode = await processing(database)
        await act(status, encode)
        return encode

    async def act(target: VideoStatus, encode: Encode) -> None:
        match target:
            case VideoStatus.READY:
                await database.encodes.mark_video_ready(encode, PUBLICATION)
            case VideoStatus.FAILED:
                await database.encodes.mark_video_failed(encode, FAILURE)
            case VideoStatus.CANCELLED:
                await database.encodes.cancel(encode.video_id)
            case VideoStatus.PROCESSING:
                await database.encodes.start_encode(encode.video_id, profile="default")

    for source in VideoStatus:
        for target in set(VideoStatus) - {VideoStatus.PENDING_UPLOAD, source}:
            encode = await reach(source)
            try:
                await act(target, encode)
            except GoStreamError:
                assert source not in PREDECESSORS[target], f"{source} → {target} was refused"
            else:
                assert source in PREDECESSORS[target], f"{source} → {target} was admitted"


async def test_deleted_video_keeps_its_version(database: PostgresDatabase) -> None:
    video = await database.videos.create(new_video())
    with pytest.raises(EtagMismatchError):
        await database.videos.delete(video.id, version=video.version + 1)

    version = await database.videos.delete(video.id, version=video.version)

    with pytest.raises(VideoNotFoundError) as gone:
        await database.videos.get(video.id)
    assert gone.value.version == version == 2
    with pytest.raises(VideoNotFoundError) as never:
        await database.videos.get(uuid4())
    assert never.value.version == 0
    assert await database.videos.get_many([video.id]) == {}


async def test_listing_returns_every_video_once_newest_first(database: PostgresDatabase) -> None:
    for number in range(7):
        await database.videos.create(new_video(user_id="ann" if number % 2 else "bob"))
    which = VideoFilter(user_id="bob")

    pages, after = [], None
    while page := await database.videos.list_page(which, limit=3, after=after):
        pages.append(page)
        after = Position(page[-1].created_at, page[-1].state.id)

    listed = [row.load() for page in pages for row in page]
    assert [len(page) for page in pages] == [3, 1]
    assert {video.user_id for video in listed} == {"bob"}
    assert listed == sorted(listed, key=lambda video: (video.created_at, video.id), reverse=True)


@pytest.mark.parametrize(
    ("which", "index"),
    [
        ("deleted_at IS NULL", "videos_newest"),
        ("deleted_at IS NULL AND user_id = 'ann'", "videos_newest_of_user"),
        ("deleted_at IS NULL AND status = 'READY'", "videos_newest_of_status"),
    ],
)
async def test_listings_use_an_index(database: PostgresDatabase, which: str, index: str) -> None:
    await database.pool.execute(
        """INSERT INTO videos (id, user_id, title, content_type, created_at)
        SELECT gen_random_uuid(), 'u' || i % 100, 't', 'video/mp4', now() - i * interval '1 s'
        FROM generate_series(1, 5000) AS i"""
    )
    await database.pool.execute("ANALYZE videos")

    plan = await database.pool.fetch(
        f"EXPLAIN SELECT id FROM videos WHERE {which} ORDER BY created_at DESC, id DESC LIMIT 50"  # noqa: S608
    )

    assert any(index in row[0] for row in plan), "\n".join(row[0] for row in plan)
    assert not any("Sort" in row[0] for row in plan)


async def test_job_is_enqueued_in_the_callers_transaction(database: PostgresDatabase) -> None:
    job = TranscodeJob(video_id=uuid4(), number=1)

    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as transaction:
            await transaction.jobs.enqueue(job)
            _ = 1 / 0
    assert await database.pool.fetchval("SELECT count(*) FROM pgqueuer") == 0

    async with database.transaction() as transaction:
        await transaction.jobs.enqueue(job)
        await transaction.jobs.enqueue(job)
    assert await database.pool.fetchval("SELECT count(*) FROM pgqueuer") == 1


async def test_outbox_rows_are_claimed_once_and_released(database: PostgresDatabase) -> None:
    encode = await processing(database)
    other = await database.videos.create(new_video())

    with pytest.raises(ZeroDivisionError):
        async with database.outbox.claim(10) as claimed:
            assert dict(claimed) == {encode.video_id: 3, other.id: 1}
            async with database.outbox.claim(10) as rival:
                assert rival == []
            _ = 1 / 0
    await database.outbox.settle(encode.video_id, 2)
    assert await outbox_of(database, encode.video_id) == [3]

    async with database.outbox.claim(10) as claimed:
        assert dict(claimed) == {encode.video_id: 3, other.id: 1}
    assert await database.pool.fetchval("SELECT count(*) FROM cache_outbox") == 0


async def test_lost_database_is_unavailable_until_restored(
    database: PostgresDatabase, postgres_server: Postgres
) -> None:
    video = await database.videos.create(new_video())
    await asyncio.to_thread(postgres_server.stop)

    with pytest.raises(BackendUnavailableError, match="the database does not answer"):
        await database.videos.get(video.id)

    await asyncio.to_thread(postgres_server.start)
    assert await database.videos.get(video.id) == video


async def test_frozen_process_loses_its_row_lock(database: PostgresDatabase) -> None:
    async with database.pool.acquire() as connection:
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
