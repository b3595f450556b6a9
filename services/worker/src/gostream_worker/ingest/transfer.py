"""The bytes behind a URL in order, across connections that break."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import structlog

from gostream_shared.egress.guard import EgressGuard
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ingest.faults import CannotResumeError, ConnectionLostError, fault_of, unreachable
from gostream_worker.ingest.http_source import Body, open_body

_log = structlog.stdlib.get_logger("gostream.ingest")

#: Requests that may fail in a row, and in total. One that brought at least _PROGRESS bytes ends the row.
_LOST_IN_A_ROW = 6
_LOST_AT_ALL = 50
_PROGRESS = 4 << 20
#: Seconds between two requests: doubling, with jitter.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


@dataclass(slots=True)
class Transfer:
    """One pass over a source. `position` and `size` in bytes; `size` is None while it is unknown."""

    session: aiohttp.ClientSession
    guard: EgressGuard
    url: str
    max_bytes: int
    on_progress: Callable[[float], None] = lambda _: None
    position: int = 0
    size: int | None = None
    _validator: str = ""
    _lost: int = 0
    _lost_in_a_row: int = 0

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yields all bytes. Begins with b"" once the size is known, or known to be unknown.

        Raises ProcessingFailedError, and CannotResumeError if the pass must begin again.
        """
        while True:
            began = self.position
            try:
                async with open_body(
                    self.session, self.guard, self.url, offset=began, validator=self._validator
                ) as body:
                    self._note(body)
                    if not began:
                        yield b""
                    async for chunk in self._chunks(body):
                        yield chunk
            except ConnectionLostError as error:
                await self._pause(error, gained=self.position - began)
            else:
                return

    def _note(self, body: Body) -> None:
        """Compare the answer with the earlier ones, and with the limit."""
        if self.size is not None and body.size != self.size:
            raise CannotResumeError
        self.size = body.size
        if not self.position:
            self._validator = body.validator
        if body.size is not None and body.size > self.max_bytes:
            raise _too_large(body.size)

    async def _chunks(self, body: Body) -> AsyncIterator[bytes]:
        while True:
            try:
                chunk = await body.content.readany()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise fault_of(error) from error
            if not chunk:
                break
            self.position += len(chunk)
            if self.position > self.max_bytes:
                raise _too_large(self.position)
            if self.size:
                self.on_progress(self.position / self.size)
            yield chunk
        if self.size is not None and self.position > self.size:
            raise CannotResumeError
        if self.size is not None and self.position < self.size:
            raise ConnectionLostError(
                "The connection to the source's server broke.", f"{self.position} of {self.size} bytes"
            )

    async def _pause(self, error: ConnectionLostError, *, gained: int) -> None:
        """Waits before the next request. Raises ProcessingFailedError after too many."""
        self._lost += 1
        self._lost_in_a_row = 1 if gained >= _PROGRESS else self._lost_in_a_row + 1
        if self._lost_in_a_row >= _LOST_IN_A_ROW or self._lost >= _LOST_AT_ALL:
            raise unreachable(error.sentence, str(error), helps_later=True) from error
        if self.position and not self._validator:
            raise CannotResumeError from error
        doubled = _FIRST_PAUSE * 2 ** (self._lost_in_a_row - 1)
        pause = max(error.pause, min(_LONGEST_PAUSE, doubled) * random.uniform(0.5, 1.5))  # noqa: S311
        _log.warning("connection lost", cause=str(error), position=self.position, pause=round(pause, 1))
        await asyncio.sleep(pause)


def _too_large(size: int) -> ProcessingFailedError:
    return ProcessingFailedError(
        Code.TOO_LARGE, f"{size} bytes", sentence="The source is larger than this service accepts."
    )
