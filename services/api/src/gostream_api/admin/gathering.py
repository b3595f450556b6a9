"""Gathers the facts of one video. Every question has a deadline, and a failed one leaves its fact unknown."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar
from uuid import UUID

import aiohttp
import structlog

from gostream_api.admin.facts import Edge, EdgeAnswer, Facts, Presence, Seen, Upload
from gostream_api.principal import Principal
from gostream_api.reads.ports import VideoReader
from gostream_shared.domain.companions.explanations import Explanations, VideoRecord
from gostream_shared.domain.errors import BackendUnavailableError, GoStreamError, VideoNotFoundError
from gostream_shared.domain.object_keys import gate_key, master_key, source_key
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.uploads import UploadSession, UploadSessions, UploadState
from gostream_shared.domain.video import VideoStatus
from gostream_shared.storage.port import MultipartEndedError, ObjectStore, StoredObject

#: Seconds for all questions to one backend.
QUESTION_TIMEOUT = 4.0
#: Bytes of a playlist that are read.
_MOST_BYTES = 1 << 20
#: An ETag that is the MD5 of the object.
_MD5 = re.compile("[0-9a-f]{32}")

Answer = TypeVar("Answer")

_log = structlog.stdlib.get_logger("gostream.admin")


class GatheringDatabase(Protocol):
    """The parts of the database that are read."""

    @property
    def explanations(self) -> Explanations: ...

    @property
    def upload_sessions(self) -> UploadSessions: ...


class Gatherer:
    """Asks the backends and the edge. `is_live` tells whether the bus of this process is live."""

    def __init__(
        self,
        database: GatheringDatabase,
        store: ObjectStore,
        reads: VideoReader,
        *,
        is_live: Callable[[], bool],
        cdn_base_url: str,
    ) -> None:
        self._database = database
        self._store = store
        self._reads = reads
        self._is_live = is_live
        self._cdn_base_url = cdn_base_url.rstrip("/")

    async def facts(self, caller: Principal, video_id: UUID) -> Facts:
        """Returns the facts about a video. Raises VideoNotFoundError."""
        try:
            async with asyncio.timeout(QUESTION_TIMEOUT):
                record = await self._database.explanations.record(video_id)
                session = await self._database.upload_sessions.get(video_id)
        except (BackendUnavailableError, TimeoutError) as error:
            _log.warning("no record for an explanation", video_id=str(video_id), error=repr(error))
            return Facts(video_id=video_id, now=datetime.now(UTC), record=None, has_bus=self._is_live())
        if record is None:
            raise VideoNotFoundError(video_id)
        known = Facts(video_id=video_id, now=datetime.now(UTC), record=record, has_bus=self._is_live())
        if record.video.deleted_at is not None:
            return known
        return await self._asked(caller, known, record, session)

    async def _asked(
        self,
        caller: Principal,
        known: Facts,
        record: VideoRecord,
        session: UploadSession | None,
    ) -> Facts:
        video = record.video
        is_published = video.status is VideoStatus.READY
        is_pending = video.status is VideoStatus.PENDING_UPLOAD
        gate = video.gate
        source = record.remote.key if record.remote and record.remote.key else source_key(video.id)
        async with asyncio.TaskGroup() as asking:
            seen_source = asking.create_task(self._look(source))
            served = asking.create_task(self._served(caller, video.id))
            upload = asking.create_task(self._upload(session)) if session and is_pending else None
            master = asking.create_task(self._look(master_key(video.id))) if is_published else None
            seen_gate = asking.create_task(self._look(gate_key(video.id, gate))) if gate else None
            is_public = video.playback_policy is PlaybackPolicy.PUBLIC
            edge = asking.create_task(self._edge(video.id, master)) if master and is_public else None
        return replace(
            known,
            source=seen_source.result(),
            upload=upload.result() if upload else None,
            master=master.result() if master else None,
            gate=seen_gate.result() if seen_gate else None,
            edge=edge.result() if edge else None,
            served_version=served.result(),
        )

    async def _look(self, key: str) -> Seen:
        """Lists the key, because the API's key to the store may not read what workers publish."""

        async def look() -> Seen:
            async with aclosing(self._listed(key)) as listed:
                async for found in listed:  # the key itself comes before the ones that it is a prefix of
                    if found.key == key:
                        return Seen(Presence.PRESENT, found.size, found.etag.strip('"'))
                    break
            return Seen(Presence.ABSENT)

        return await _within(look(), Seen(Presence.UNKNOWN))

    async def _listed(self, key: str) -> AsyncGenerator[StoredObject, None]:
        async for found in self._store.list(key):
            yield found

    async def _upload(self, session: UploadSession) -> Upload:
        async def look() -> Upload:
            try:
                parts = await self._store.list_parts(source_key(session.video_id), session.store_upload_id)
            except MultipartEndedError:
                is_open = session.state is UploadState.OPEN
                return Upload(replace(session, state=UploadState.ABORTED) if is_open else session, 0)
            return Upload(session, len(parts))

        return await _within(look(), Upload(session, None))

    async def _served(self, caller: Principal, video_id: UUID) -> int | None:
        async def look() -> int | None:
            return (await self._reads.get_video(caller, video_id)).reply.version

        return await _within(look(), None)

    async def _edge(self, video_id: UUID, master: Awaitable[Seen]) -> Edge:
        url = f"{self._cdn_base_url}/{master_key(video_id)}"

        async def look() -> Edge:
            timeout = aiohttp.ClientTimeout(total=QUESTION_TIMEOUT)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                text = await answer.content.read(_MOST_BYTES)
            return Edge(edge_answer(answer.status, text, await master), url, answer.status)

        try:
            return await _within(look(), Edge(EdgeAnswer.UNREACHABLE, url))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            _log.warning("the edge does not answer", url=url, error=repr(error))
            return Edge(EdgeAnswer.UNREACHABLE, url)


def edge_answer(status: int, text: bytes, master: Seen) -> EdgeAnswer:
    """Returns what an answer says, compared with the master playlist in the store."""
    if status >= 400:
        return EdgeAnswer.BROKEN if status >= 500 else EdgeAnswer.REFUSED
    if status != 200 or not text.startswith(b"#EXTM3U"):
        return EdgeAnswer.NO_PLAYLIST
    is_known = master.presence is Presence.PRESENT and _MD5.fullmatch(master.etag)
    found = hashlib.md5(text, usedforsecurity=False).hexdigest()
    return EdgeAnswer.OTHER if is_known and found != master.etag else EdgeAnswer.SAME


async def _within(question: Awaitable[Answer], unknown: Answer) -> Answer:
    """Returns the answer, or `unknown` if it is late or the backend does not answer."""
    try:
        async with asyncio.timeout(QUESTION_TIMEOUT):
            return await question
    except (GoStreamError, TimeoutError) as error:
        _log.warning("a question for an explanation failed", error=repr(error))
        return unknown
