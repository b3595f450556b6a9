"""An API that dies between any two steps of an upload leaves no orphan and no video that cannot continue."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from yarl import URL

from gostream_api.principal import ANONYMOUS
from gostream_api.uploads.upload_service import SessionLimits, UploadService
from gostream_api.videos.ids import new_id
from gostream_api.videos.trail import Origin
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import UploadClosedError, WrongStateError
from gostream_shared.domain.object_keys import SOURCES, source_key
from gostream_shared.domain.repositories import NewVideo
from gostream_shared.domain.uploads import UploadState
from gostream_shared.domain.video import VideoStatus
from gostream_shared.jobs.pgqueuer import EXPIRE_UPLOAD, expire_upload_job
from gostream_shared.storage.s3 import S3ObjectStore

from .conftest import md5

FILM = b"film"
ORIGIN = Origin(request_id="r", peer="127.0.0.1")
LIMITS = SessionLimits(
    source_max_bytes=1 << 30,
    session_ttl=timedelta(hours=24),
    part_ttl=timedelta(minutes=15),
    queue_limit=1000,
)
#: More than a scenario has; the test stops at the first number that it does not reach.
MOST_STEPS = 150


class Killed(BaseException):
    """The process ends here: nothing after it runs, and PostgreSQL rolls the open transaction back."""


@dataclass
class Steps:
    """Counts the steps of a scenario. Kills it at step `last`; 0 = never."""

    last: int = 0
    count: int = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.last:
            raise Killed


class Mortal:
    """Calls of an object, each with a step before and after it."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return Mortal(found, self._steps)

        async def call(*arguments: Any, **named: Any) -> Any:
            self._steps.step()
            result = await found(*arguments, **named)
            self._steps.step()
            return result

        return call


class MortalDatabase(Mortal):
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._steps.step()
        async with self._inner.transaction() as transaction:
            yield transaction
            self._steps.step()  # before the commit
        self._steps.step()


class Announcer:
    async def announce(self, video_id: UUID, version: int) -> None:
        pass


def service(database: Any, store: Any) -> UploadService:
    return UploadService(database=database, store=store, announcer=Announcer(), limits=LIMITS)


async def created(database: PostgresDatabase) -> UUID:
    new = NewVideo(id=new_id(), user_id="u", title="t", content_type="video/mp4", size_bytes=len(FILM))
    return (await database.videos.create(new)).id


async def send(uploads: UploadService, video_id: UUID, generation: int) -> int:
    """Sends the only part of the film."""
    [part] = await uploads.sign_parts(ANONYMOUS, video_id, generation=generation, parts=[(1, md5(FILM))])
    async with (
        aiohttp.ClientSession() as session,
        session.put(URL(part.url, encoded=True), data=io.BytesIO(FILM), headers=part.headers) as answer,
    ):
        return answer.status


async def whole(uploads: UploadService, video_id: UUID) -> None:
    """What a client does: opens or continues the session, sends, completes, starts the encode."""
    try:
        status = await uploads.get_upload(ANONYMOUS, video_id)
    except UploadClosedError:
        status = await uploads.create_upload(ANONYMOUS, ORIGIN, video_id, size_bytes=len(FILM))
    if status.session.state in (UploadState.ABORTED, UploadState.EXPIRED):
        status = await uploads.create_upload(ANONYMOUS, ORIGIN, video_id, size_bytes=len(FILM))
    if status.session.state is UploadState.OPEN and not status.parts:
        assert await send(uploads, video_id, status.session.generation) == 200
    await uploads.complete_upload(
        ANONYMOUS, ORIGIN, video_id, generation=status.session.generation, profile="default"
    )


async def with_an_abort(uploads: UploadService, video_id: UUID) -> None:
    """Opens a session, aborts it, and uploads with the next one."""
    try:
        video = await uploads.get_upload(ANONYMOUS, video_id)
    except UploadClosedError:
        video = await uploads.create_upload(ANONYMOUS, ORIGIN, video_id, size_bytes=len(FILM))
    if video.session.generation == 1:
        await uploads.abort_upload(ANONYMOUS, ORIGIN, video_id)
    await whole(uploads, video_id)


async def sweep(database: PostgresDatabase, store: S3ObjectStore) -> None:
    """What workers do: the expiry jobs a day later, and the nightly comparison."""
    for row in await database.pool.fetch(
        "DELETE FROM pgqueuer WHERE entrypoint = $1 RETURNING payload", EXPIRE_UPLOAD
    ):
        job = expire_upload_job(row["payload"])
        await database.upload_sessions.end(
            job.video_id, job.generation, UploadState.EXPIRED, after=[UploadState.OPEN]
        )
        await store.abort_multipart(source_key(job.video_id), job.store_upload_id)
    found = [each async for each in store.list_multiparts(SOURCES)]
    kept = await database.upload_sessions.open_among([each.upload_id for each in found])
    for each in found:
        if each.upload_id not in kept:
            await store.abort_multipart(each.key, each.upload_id)


async def killed_at(
    step: int,
    scenario: Callable[[UploadService, UUID], Any],
    database: PostgresDatabase,
    store: S3ObjectStore,
    video_id: UUID,
) -> bool:
    """Runs the scenario until the step. Returns whether it has one."""
    steps = Steps(step)
    try:
        await scenario(service(MortalDatabase(database, steps), Mortal(store, steps)), video_id)
    except Killed:
        return True
    return False


async def unfinished(store: S3ObjectStore, video_id: UUID) -> list[str]:
    return [found.upload_id async for found in store.list_multiparts(source_key(video_id))]


SCENARIOS = [whole, pytest.param(with_an_abort, marks=pytest.mark.slow)]


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_upload_continues(
    database: PostgresDatabase, store: S3ObjectStore, scenario: Callable[[UploadService, UUID], Any]
) -> None:
    for step in range(1, MOST_STEPS):
        video_id = await created(database)
        is_killed = await killed_at(step, scenario, database, store, video_id)

        await scenario(service(database, store), video_id)

        assert (await database.videos.get(video_id)).status is VideoStatus.PROCESSING, step
        assert await store.get(source_key(video_id)) == FILM, step
        jobs = await database.pool.fetchval(
            "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'transcode' AND dedupe_key LIKE $1",
            f"transcode:{video_id}:%",
        )
        assert jobs == 1, step
        await sweep(database, store)
        assert await unfinished(store, video_id) == [], step
        if not is_killed:
            assert step > 10
            return
    raise AssertionError("the scenario has more steps")


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_and_abandoned_upload_leaves_nothing(
    database: PostgresDatabase, store: S3ObjectStore, scenario: Callable[[UploadService, UUID], Any]
) -> None:
    for step in range(1, MOST_STEPS):
        video_id = await created(database)
        is_killed = await killed_at(step, scenario, database, store, video_id)

        await sweep(database, store)

        assert await unfinished(store, video_id) == [], step
        await whole(service(database, store), video_id)  # a client that returns later
        assert (await database.videos.get(video_id)).status is VideoStatus.PROCESSING, step
        if not is_killed:
            return
    raise AssertionError("the scenario has more steps")


@pytest.mark.slow
async def test_concurrent_clients_and_kills_store_one_film(
    database: PostgresDatabase, store: S3ObjectStore
) -> None:
    async def client(video_id: UUID, step: int) -> None:
        steps = Steps(step)
        try:
            await whole(service(MortalDatabase(database, steps), Mortal(store, steps)), video_id)
        except (Killed, WrongStateError):
            return

    for step in range(1, 30, 3):
        video_id = await created(database)
        await asyncio.gather(*(client(video_id, step + each) for each in range(4)))

        await whole(service(database, store), video_id)
        await sweep(database, store)

        assert await store.get(source_key(video_id)) == FILM
        assert await unfinished(store, video_id) == []
