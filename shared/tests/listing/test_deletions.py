"""Updates, deletion, undeletion and expiry of videos on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import (
    EtagMismatchError,
    ExternalIdInUseError,
    FenceLostError,
    RequestIdReusedError,
    VideoNotDeletedError,
    VideoNotFoundError,
)
from gostream_shared.domain.jobs import RemoveJob
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import NewVideo, VideoChanges
from gostream_shared.domain.video import Video, VideoStatus
from gostream_shared.domain.videos.deletions import REMOVE_DELAY, removals

HOUR = timedelta(hours=1)


async def create(database: PostgresDatabase, **fields: Any) -> Video:
    plain = NewVideo(id=uuid4(), user_id="ann", title="Holiday", content_type="video/mp4")
    return await database.videos.create(replace(plain, **fields))


def changes(**values: Any) -> VideoChanges:
    return VideoChanges(fields=frozenset(values), **values)


async def test_update_changes_only_the_named_fields(database: PostgresDatabase) -> None:
    video = await create(database, labels={"a": "1"}, external_id="7")
    expires_at = datetime(2099, 1, 1, tzinfo=UTC)

    renamed, is_changed = await database.videos.update(video.id, changes(title="Été"))
    assert (renamed.title, renamed.labels, renamed.external_id) == ("Été", {"a": "1"}, "7")
    assert (is_changed, renamed.version, renamed.playback_epoch) == (True, 2, 1)
    rest = changes(
        labels={"b": "2"}, external_id="", expires_at=expires_at, playback_policy=PlaybackPolicy.OFF
    )
    changed, _ = await database.videos.update(video.id, rest)
    assert changed == await database.videos.get(video.id)
    assert (changed.title, changed.labels, changed.external_id) == ("Été", {"b": "2"}, "")
    assert (changed.expires_at, changed.playback_epoch) == (expires_at, 2)


async def test_equal_values_change_no_version(database: PostgresDatabase) -> None:
    video = await create(database, labels={"a": "1", "b": "2"}, external_id="7")
    same = changes(
        title="Holiday",
        labels={"b": "2", "a": "1"},
        external_id="7",
        expires_at=None,
        playback_policy=PlaybackPolicy.PUBLIC,
    )

    assert await database.videos.update(video.id, same) == (video, False)


async def test_one_of_fifty_updates_with_an_etag_wins(database: PostgresDatabase) -> None:
    video = await create(database)

    outcomes = await asyncio.gather(
        *(database.videos.update(video.id, changes(title=f"{n}"), version=1) for n in range(50)),
        return_exceptions=True,
    )

    won = [each for each in outcomes if not isinstance(each, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(each, EtagMismatchError) for each in outcomes) == 49
    assert won == [(await database.videos.get(video.id), True)]
    assert won[0][0].version == 2


async def test_external_id_is_unique_among_live_videos(database: PostgresDatabase) -> None:
    first = await create(database, external_id="7")
    second = await create(database, external_id="8")
    await create(database, external_id="7", user_id="bob")
    await create(database)
    await create(database)

    with pytest.raises(ExternalIdInUseError):
        await create(database, external_id="7")
    with pytest.raises(ExternalIdInUseError):
        await database.videos.update(second.id, changes(external_id="7"))
    await database.videos.delete(first.id, retention=HOUR)
    renamed, _ = await database.videos.update(second.id, changes(external_id="7"))
    assert renamed.external_id == "7"
    with pytest.raises(ExternalIdInUseError):
        await database.deletions.undelete(first.id)
    with pytest.raises(VideoNotFoundError):
        await database.videos.get(first.id)


async def test_request_id_comes_before_the_external_id(database: PostgresDatabase) -> None:
    first = await create(database, external_id="7", request_id="r", fingerprint="f")

    assert await create(database, external_id="7", request_id="r", fingerprint="f") == first
    with pytest.raises(RequestIdReusedError):
        await create(database, external_id="7", request_id="r", fingerprint="g")
    with pytest.raises(ExternalIdInUseError):
        await create(database, external_id="7", request_id="s", fingerprint="f")


async def test_concurrent_creations_share_no_external_id(database: PostgresDatabase) -> None:
    outcomes = await asyncio.gather(
        *(create(database, external_id="7") for _ in range(20)), return_exceptions=True
    )

    assert sum(isinstance(each, Video) for each in outcomes) == 1
    assert sum(isinstance(each, ExternalIdInUseError) for each in outcomes) == 19


async def test_undeleted_video_equals_the_deleted_one(database: PostgresDatabase) -> None:
    video = await create(database, labels={"a": "1"}, external_id="7", request_id="r", fingerprint="f")
    version = await database.videos.delete(video.id, retention=HOUR)
    with pytest.raises(VideoNotFoundError) as gone:
        await database.videos.get(video.id)
    assert gone.value.version == version
    deleted = await database.videos.get_restorable(video.id)
    assert (deleted.deleted_at is not None, deleted.gate) == (True, None)

    restored = await database.deletions.undelete(video.id, version=version)

    assert replace(restored, version=1, updated_at=video.updated_at) == video
    assert restored == await database.videos.get(video.id)
    assert restored.version == version + 1
    assert await create(database, external_id="7", request_id="r", fingerprint="f") == restored


async def test_undeletion_is_refused(database: PostgresDatabase) -> None:
    live, permanent, late, old = [await create(database) for _ in range(4)]
    await database.videos.delete(permanent.id)
    await database.videos.delete(late.id, retention=timedelta(0))
    await database.videos.delete(old.id, retention=HOUR)

    with pytest.raises(VideoNotDeletedError):
        await database.deletions.undelete(live.id)
    for video_id in (permanent.id, late.id, uuid4()):
        with pytest.raises(VideoNotFoundError):
            await database.deletions.undelete(video_id)
    for which in (live, old):
        with pytest.raises(VideoNotFoundError):
            await database.deletions.undelete(which.id, owner="bob")
    with pytest.raises(EtagMismatchError):
        await database.deletions.undelete(old.id, version=1)


async def test_deletion_by_the_previous_release_is_final(database: PostgresDatabase) -> None:
    video = await create(database)
    await database.pool.execute("UPDATE videos SET deleted_at = now() WHERE id = $1", video.id)

    assert await database.deletions.end_retention(video.id) == timedelta(0)
    with pytest.raises(VideoNotFoundError):
        await database.deletions.undelete(video.id)


async def test_permanent_deletion_ends_the_retention(database: PostgresDatabase) -> None:
    video = await create(database)
    await database.videos.delete(video.id, retention=HOUR)
    deleted_at = (await database.videos.get_restorable(video.id)).deleted_at

    with pytest.raises(VideoNotFoundError):
        await database.videos.delete(video.id, retention=HOUR)
    with pytest.raises(EtagMismatchError):
        await database.videos.delete(video.id, version=1)
    assert await database.videos.delete(video.id, version=2) == 3

    with pytest.raises(VideoNotFoundError):
        await database.deletions.undelete(video.id)
    with pytest.raises(VideoNotFoundError):
        await database.videos.delete(video.id)
    row = await database.pool.fetchrow("SELECT deleted_at, undelete_until FROM videos")
    assert tuple(row or ()) == (deleted_at, None)


async def test_deletion_cancels_processing_for_good(database: PostgresDatabase) -> None:
    video = await create(database)
    encode = await database.encodes.start_encode(video.id, profile="default")
    assert encode is not None
    running = await database.encodes.begin_attempt(video.id, encode.number, worker="w")
    await database.videos.delete(video.id, retention=HOUR)

    restored = await database.deletions.undelete(video.id)

    assert restored.status is VideoStatus.CANCELLED
    assert await database.pool.fetchval("SELECT outcome FROM encodes") == "CANCELLED"
    with pytest.raises(FenceLostError):
        await database.encodes.lock_for_publish(running)


async def test_retention_ends_before_objects_are_removed(database: PostgresDatabase) -> None:
    soft, hard, live = [await create(database) for _ in range(3)]
    await database.videos.delete(soft.id, retention=HOUR)
    await database.videos.delete(hard.id)

    remaining = await database.deletions.end_retention(soft.id)
    assert remaining is not None
    assert HOUR - timedelta(minutes=5) < remaining <= HOUR
    assert await database.deletions.end_retention(hard.id) == timedelta(0)
    assert await database.deletions.end_retention(uuid4()) == timedelta(0)
    assert await database.deletions.end_retention(live.id) is None
    await database.pool.execute("UPDATE videos SET undelete_until = now() WHERE id = $1", soft.id)
    assert await database.deletions.end_retention(soft.id) == timedelta(0)
    with pytest.raises(VideoNotFoundError):
        await database.deletions.undelete(soft.id)


async def test_removal_and_undeletion_exclude_each_other(database: PostgresDatabase) -> None:
    """An undeletion that began in time waits for the removal's row lock, and then finds no video."""
    video = await create(database)
    await database.videos.delete(video.id, retention=timedelta(seconds=1.5))

    async with database.transaction() as early:  # its now() stays before the end of the retention
        await early.encodes.count_waiting(at_most=1)
        while await database.deletions.end_retention(video.id):
            await asyncio.sleep(0.1)
        with pytest.raises(VideoNotFoundError):
            await early.deletions.undelete(video.id)


async def test_expired_videos_are_deleted_with_retention(database: PostgresDatabase) -> None:
    past, future, never = [await create(database, title=title) for title in ("past", "future", "never")]
    soon = datetime.now(UTC) - timedelta(seconds=1)
    await database.videos.update(past.id, changes(expires_at=soon))
    await database.videos.update(future.id, changes(expires_at=soon + HOUR))

    assert await database.deletions.delete_expired(retention=HOUR, limit=10) == {past.id: 3}
    assert await database.deletions.delete_expired(retention=HOUR, limit=10) == {}

    restored = await database.deletions.undelete(past.id)
    assert restored.expires_at is None
    assert (await database.videos.get(future.id)).expires_at == soon + HOUR
    assert await database.videos.get(never.id) == never


async def test_expiry_needs_the_same_passed_time(database: PostgresDatabase) -> None:
    video = await create(database)
    past, future = datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR
    expire = database.deletions.expire

    await database.videos.update(video.id, changes(expires_at=future))
    assert await expire(video.id, past, retention=HOUR) is None
    remaining = await expire(video.id, future, retention=HOUR)
    assert isinstance(remaining, timedelta)
    assert timedelta(0) < remaining <= HOUR
    await database.videos.update(video.id, changes(expires_at=past))
    assert await expire(video.id, past, retention=HOUR) == 4
    assert await expire(video.id, past, retention=HOUR) is None


def test_removals_wait_for_retention_and_late_uploads() -> None:
    def delays(retention: timedelta | None) -> list[timedelta]:
        return [delay for _, delay in removals(UUID(int=1), 5, retention=retention, url_ttl=HOUR)]

    late = [HOUR + timedelta(minutes=1), HOUR + timedelta(hours=24)]
    assert delays(None) == delays(timedelta(0)) == delays(REMOVE_DELAY) == [REMOVE_DELAY, *late]
    assert delays(timedelta(hours=2)) == [timedelta(hours=2), late[1]]
    assert delays(timedelta(days=30)) == [timedelta(days=30)]


async def test_later_deletion_has_jobs_of_its_own(database: PostgresDatabase) -> None:
    """A job of the first deletion that runs in the meantime must not stand for one of the second."""
    async with database.transaction() as transaction:
        for version in (2, 2, 4):
            await transaction.jobs.enqueue(RemoveJob(video_id=UUID(int=1), deletion=version))

    assert await database.pool.fetchval("SELECT count(*) FROM pgqueuer") == 2
