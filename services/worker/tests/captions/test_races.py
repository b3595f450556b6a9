"""Jobs that die between two steps, and jobs that meet each other or an encode."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from gostream_shared.domain.jobs import PublishTracksJob
from gostream_shared.domain.video import VideoStatus
from gostream_worker.captions.publishing import TrackPublisher
from gostream_worker.jobs.verdict import DONE
from services.worker.tests import clips
from services.worker.tests.clips import Clips
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import broken_rules

from .conftest import SRT, Captions

pytestmark = pytest.mark.stack


class KilledError(Exception):
    """Stands for the end of the process."""


class Dying:
    """A backend whose process dies before or after one of its calls. Counts the calls of all of them."""

    def __init__(self, inner: Any, clock: "Clock") -> None:
        self._inner = inner
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*arguments: Any, **keywords: Any) -> Any:
            self._clock.tick()
            answer = await found(*arguments, **keywords)
            self._clock.tick()
            return answer

        return call


class Clock:
    def __init__(self, dies_at: int) -> None:
        self.steps = 0
        self._dies_at = dies_at

    def tick(self) -> None:
        self.steps += 1
        if self.steps >= self._dies_at:
            raise KilledError


def dying(captions: Captions, clock: Clock) -> TrackPublisher:
    publisher = captions.publisher
    publisher._store = Dying(publisher._store, clock)
    publisher._edge = Dying(publisher._edge, clock)
    publisher._announcer = Dying(publisher._announcer, clock)
    return publisher


def _job(video_id: UUID) -> PublishTracksJob:
    return PublishTracksJob(video_id=video_id, change=uuid4().hex)


@pytest.mark.slow
@pytest.mark.faults
async def test_repeated_job_completes_every_interrupted_one(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    dies_at, ended = 0, False
    added: list[UUID] = []
    while not ended:
        dies_at += 1
        if added:  # as many objects to write as before
            await worker.dependencies.database.added_tracks.delete(video.id, added[-1])
            assert await captions.publish(video.id) == DONE
        added.append(await captions.add(video.id))
        try:
            await dying(captions, Clock(dies_at)).publish(_job(video.id))
        except* KilledError:
            master = await worker.master(video.id)  # viewers see one state or the other, never half of one
            assert master.count("added-") in {0, 1}
            for line in master.splitlines():
                if "added-" in line:
                    assert line.partition('URI="')[2].rstrip('"') in await worker.published(video.id)
        else:
            ended = True

        assert await captions.publish(video.id) == DONE

        (track_id,) = await captions.tracks(video.id)
        assert track_id == added[-1]
        (line,) = await captions.lines(video.id)
        assert str(track_id) in line
    assert dies_at > 15
    assert worker.leftovers() == []
    await worker.dependencies.store.delete(
        [
            f"hls/{video.id}/{name}"
            for name in await worker.published(video.id)
            for old in added[:-1]
            if str(old) in name
        ]
    )
    assert await broken_rules(await worker.save(video.id)) == []


async def test_concurrent_jobs_publish_every_track(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))

    async def added(language: str) -> None:
        await captions.add(video.id, language=language)
        while (await captions.publish(video.id)) != DONE:
            pass

    async with asyncio.TaskGroup() as tasks:
        for language in ("de", "fr", "it", "es"):
            tasks.create_task(added(language))

    assert {track.language for track in (await captions.tracks(video.id)).values()} == {
        "de",
        "fr",
        "it",
        "es",
    }
    assert len(await captions.lines(video.id)) == 4
    assert await broken_rules(await worker.save(video.id)) == []


def _during(publisher: TrackPublisher, action: Callable[[], Any]) -> None:
    """Runs `action` once, before the files are written."""
    read = publisher._read
    done: list[bool] = []

    async def reading(tracks: Any) -> Any:
        found = await read(tracks)
        if tracks and not done:
            done.append(True)
            await action()
        return found

    publisher._read = reading  # type: ignore[method-assign]


async def test_track_added_meanwhile_is_not_lost(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    await captions.add(video.id)
    publisher = captions.publisher

    async def another() -> None:
        await captions.add(video.id, language="fr")
        assert await captions.publish(video.id) == DONE

    _during(publisher, another)

    assert await publisher.publish(_job(video.id)) == DONE

    assert len(await captions.lines(video.id)) == 2
    assert {track.state for track in (await captions.tracks(video.id)).values()} == {"READY"}


async def test_track_deleted_meanwhile_is_not_published(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    video = await worker.process(clip(clips.plain))
    track_id = await captions.add(video.id)
    publisher = captions.publisher

    commit = publisher._commit

    async def late(built: Any) -> None:
        await worker.dependencies.database.added_tracks.delete(video.id, track_id)
        await commit(built)

    publisher._commit = late  # type: ignore[method-assign]

    assert await publisher.publish(_job(video.id)) == DONE

    assert (await captions.lines(video.id), await captions.tracks(video.id)) == ([], {})
    assert (await worker.video(video.id)).version == video.version


async def test_encode_published_meanwhile_has_the_track(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    video = await worker.process(clip(clips.plain))
    await captions.add(video.id)
    publisher = captions.publisher

    async def encode() -> None:
        await worker.run_again(video.id)

    _during(publisher, encode)

    assert await publisher.publish(_job(video.id)) == DONE

    (line,) = await captions.lines(video.id)
    assert "v2/added-" in line
    assert (await worker.video(video.id)).status is VideoStatus.READY
    assert await broken_rules(await worker.save(video.id)) == []


async def test_track_added_during_an_encode_follows_it(
    worker: Worker, captions: Captions, clip: Clips
) -> None:
    """The encode has read the tracks before; the job that its publication enqueues finds this one."""
    video_id = await worker.upload(clip(clips.plain))
    first = await captions.add(video_id)
    await captions.publish(video_id)
    await worker.attempts.transcode(await worker.start(video_id))
    second = await captions.add(video_id, SRT, language="fr")

    rows = await worker._database.pool.fetch("SELECT 1 FROM pgqueuer WHERE entrypoint = 'publish-tracks'")
    assert len(rows) == 1
    await captions.publish(video_id)

    assert set(await captions.tracks(video_id)) == {first, second}


async def test_deleted_video_gets_no_track(worker: Worker, captions: Captions, clip: Clips) -> None:
    video = await worker.process(clip(clips.plain))
    await captions.add(video.id)
    publisher = captions.publisher

    async def delete() -> None:
        await worker.dependencies.database.videos.delete(video.id)
        await worker.collect()

    _during(publisher, delete)

    assert await publisher.publish(_job(video.id)) == DONE
    await worker.collect()

    assert await worker.published(video.id) == {}
