"""Uploads a file in parts, or continues such an upload."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gostream.v1 import upload_pb2, video_pb2, video_service_pb2
from gostream_client.errors import GoStreamError, InvalidInputError, UnreachableError, UploadClosedError
from gostream_client.upload.file_parts import FileParts, Part
from gostream_client.upload.part import SessionGoneError, UrlRefusedError, put_part
from gostream_client.upload.session_calls import UploadCalls

#: Larger files are uploaded in parts.
MULTIPART_ABOVE = 16 << 20
#: Tries of one part, including the first. New URLs for expired ones do not count.
_TRIES = 8
#: Consecutive refusals of fresh URLs, after which the refusal is reported.
_REFUSALS = 5
#: Rounds of sending what CompleteUpload reports as missing.
_ROUNDS = 3
_LONGEST_PAUSE = 10.0
#: Reasons of refusals by the API that a later call does not meet.
_BUSY = frozenset({"RATE_LIMITED", "TOO_MANY_REQUESTS"})
#: Stores distinguish contents of a part by their times in seconds.
_SECOND = 1.1

_Session = upload_pb2.UploadSession


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOptions:
    """How parts are sent: how many at once, and seconds without progress and before the first retry."""

    parallel: int = 4
    stall: float = 60.0
    backoff: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Called with the number of bytes that the store has or is receiving, and with the reason of a retry."""

    on_sent: Callable[[int], object] = lambda sent: None
    on_retry: Callable[[str], object] = lambda why: None


async def upload_in_parts(
    calls: UploadCalls,
    video_id: str,
    path: Path,
    *,
    process: video_service_pb2.ProcessOptions | None = None,
    options: PartOptions = PartOptions(),
    reports: Reports = Reports(),
) -> video_pb2.Video:
    """Upload a file as the source of a video, and start an encode if `process` is given.

    Continues an earlier upload of the video from any machine: a part is skipped if the store has it with the
    MD5 of the local part. Raises GoStreamError.
    """
    size = (await asyncio.to_thread(path.stat)).st_size
    session = await _open(calls, video_id, size)
    for last in (False,) * (_ROUNDS - 1) + (True,):
        if session.state == _Session.STATE_OPEN:
            await _Sending(calls, session, path, options, reports).run()
        try:
            return await calls.complete(video_id, session.generation, process=process)
        except GoStreamError as error:
            if error.reason != "UPLOAD_INCOMPLETE" or last:
                raise
        await asyncio.sleep(_SECOND)
        session = await calls.get(video_id)
    raise AssertionError


async def _open(calls: UploadCalls, video_id: str, size: int) -> _Session:
    """Returns the session of the video, open or completed. Raises InvalidInputError for another size."""
    try:
        session = await calls.get(video_id)
    except GoStreamError as error:
        if error.reason != "UPLOAD_CLOSED":  # no session yet
            raise
        return await calls.create(video_id, size)
    if session.size_bytes != size:
        raise InvalidInputError(
            f"the file has {size} bytes, but the upload that is to continue has {session.size_bytes}"
        )
    if session.state in (_Session.STATE_ABORTED, _Session.STATE_EXPIRED):
        return await calls.create(video_id, size)
    return session


class _Sending:
    """Sends the parts of one session that the store does not have."""

    def __init__(
        self, calls: UploadCalls, session: _Session, path: Path, options: PartOptions, reports: Reports
    ) -> None:
        self._calls = calls
        self._session = session
        self._file = FileParts(path, session)
        self._options = options
        self._reports = reports
        self._stored = {part.number: part for part in session.parts}
        self._waiting: Iterator[int] = iter(range(1, session.part_count + 1))
        self._sent: dict[int, int] = {}
        self._is_compared = False

    async def run(self) -> None:
        """Raises GoStreamError; the other parts are then cancelled."""
        self._reports.on_sent(0)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._options.parallel, self._session.part_count)):
                    tasks.create_task(self._send_waiting())
        except ExceptionGroup as errors:  # except* would put the error into a group again
            expected, others = errors.split(GoStreamError)
            if expected is None or others is not None:
                raise
            raise _first(expected) from None
        await self._file.require_unchanged()

    async def _send_waiting(self) -> None:
        for number in self._waiting:
            part = await self._file.read(number)
            if not self._has(part):
                await self._send(part)
            self._count(number, len(part.body))

    def _has(self, part: Part) -> bool:
        stored = self._stored.get(part.number)
        return stored is not None and stored.md5 == part.md5 and stored.size_bytes == len(part.body)

    async def _send(self, part: Part) -> None:
        """Send a part, with a new URL for each try."""
        tries = refusals = 0
        while True:
            try:
                [signed] = await self._calls.sign(
                    self._session.video_id, self._session.generation, [(part.number, part.md5)]
                )
                return await put_part(
                    signed,
                    part.body,
                    on_sent=lambda sent: self._count(part.number, sent),
                    stall=self._options.stall,
                )
            except UrlRefusedError:  # expired
                refusals += 1
                if refusals == _REFUSALS:
                    raise
            except GoStreamError as error:
                if isinstance(error, SessionGoneError):
                    await self._require_session(error)
                elif not (isinstance(error, UnreachableError) or error.reason in _BUSY):
                    raise
                refusals, tries = 0, tries + 1
                if tries == _TRIES:
                    raise
                self._reports.on_retry(f"{error}; trying again ({tries} of {_TRIES - 1})")
                await self._pause(tries)
            self._count(part.number, 0)

    async def _require_session(self, error: SessionGoneError) -> None:
        """Ask the server once whether the session is open. Raises GoStreamError if not, or later."""
        if self._is_compared:
            raise error
        self._is_compared = True
        now = await self._calls.get(self._session.video_id)
        if now.state != _Session.STATE_OPEN or now.generation != self._session.generation:
            state = _Session.State.Name(now.state).removeprefix("STATE_").lower()
            raise UploadClosedError(
                f"another client has changed the upload: it is {state}, generation {now.generation}",
            )

    async def _pause(self, tries: int) -> None:
        seconds = min(self._options.backoff * 2**tries, _LONGEST_PAUSE)
        await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 – jitter

    def _count(self, number: int, sent: int) -> None:
        self._sent[number] = sent
        self._reports.on_sent(sum(self._sent.values()))


def _first(errors: ExceptionGroup[GoStreamError]) -> GoStreamError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
