"""Serves a source to the children of one attempt: HTTP on loopback, at an unguessable URL."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import hdrs, web

from gostream_shared.concurrency import task_group
from gostream_shared.domain.errors import GoStreamError
from gostream_shared.storage.port import ObjectStore, StoredObject
from gostream_worker.source.range_reader import ObjectBlocks

_HOST = "127.0.0.1"
#: Bytes per write to the transport.
_PIECE = 1 << 18
#: Seconds for open requests to end after their readers ended.
_SHUTDOWN_TIMEOUT = 1.0


@asynccontextmanager
async def serve_object(store: ObjectStore, found: StoredObject, *, patience: float) -> AsyncIterator[str]:
    """Yields a URL that serves that version of the object while the block runs: GET, with ranges.

    Ends the block with BackendUnavailableError if the store is unavailable for longer than `patience`, and
    with ProcessingFailedError if the object was replaced or removed, or is shorter than its listed size.
    """
    async with task_group() as tasks:
        blocks = ObjectBlocks(store, found, tasks, patience=patience)
        try:
            async with serve_contents([blocks]) as [url]:
                yield url
        finally:
            blocks.close()


class Content(Protocol):
    """Bytes that can be served."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, stop: int) -> AsyncIterator[memoryview]:
        """Yields the bytes from `start` to `stop` in pieces. Raises GoStreamError."""
        ...


@asynccontextmanager
async def serve_contents(contents: Sequence[Content]) -> AsyncIterator[list[str]]:
    """Yields a URL for each content, all at one port, that serves it while the block runs: GET, with ranges.

    A content that cannot be read ends the response before its end.
    """
    servers = [_Server(content) for content in contents]
    application = web.Application()
    for server in servers:
        application.router.add_get(server.path, server.answer, allow_head=False)
    runner = web.AppRunner(
        application, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, 0).start()
        port = runner.addresses[0][1]
        yield [server.listening_on(port) for server in servers]
    finally:
        await runner.cleanup()


class _Server:
    def __init__(self, blocks: Content) -> None:
        self._blocks = blocks
        self.path = f"/{secrets.token_urlsafe(32)}"
        self._authority = ""

    def listening_on(self, port: int) -> str:
        """Returns the URL for that port."""
        self._authority = f"{_HOST}:{port}"
        return f"http://{self._authority}{self.path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.host != self._authority:  # reject DNS rebinding: a page reaching this port by another name
            raise web.HTTPForbidden
        size = self._blocks.size
        start, stop = _wanted(request, size)
        response = web.StreamResponse(status=206 if hdrs.RANGE in request.headers else 200)
        response.content_length = stop - start
        response.headers[hdrs.ACCEPT_RANGES] = "bytes"
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
        await response.prepare(request)
        try:
            await self._send(response, start, stop)
        except (GoStreamError, ConnectionResetError):
            # The reader closed the connection, or the attempt is ending: abort, so that it does not look like
            # the end of the file.
            if request.transport:
                request.transport.abort()
        return response

    async def _send(self, response: web.StreamResponse, start: int, stop: int) -> None:
        """Sends blocks at the reader's pace. The encoder has its own watchdog."""
        async for block in self._blocks.read(start, stop):
            for offset in range(0, len(block), _PIECE):
                await response.write(block[offset : offset + _PIECE])


def _wanted(request: web.Request, size: int) -> tuple[int, int]:
    """Returns start and end of the requested range, by default the whole object. Raises HTTP 416."""
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        start, stop = size, size
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})
    return start, stop
