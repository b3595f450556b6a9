"""A source served to the children of one attempt: HTTP on loopback, at an address that nobody can guess."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import hdrs, web

from gostream_shared.concurrency import task_group
from gostream_shared.domain.errors import GoStreamError
from gostream_shared.storage.port import ObjectStore, StoredObject
from gostream_worker.source.range_reader import ObjectBlocks

_HOST = "127.0.0.1"
#: Bytes handed to the transport at once.
_PIECE = 1 << 18
#: Seconds for open requests to end after their readers have.
_SHUTDOWN_TIMEOUT = 1.0


@asynccontextmanager
async def serve_object(store: ObjectStore, found: StoredObject, *, patience: float) -> AsyncIterator[str]:
    """The URL at which that version of the object can be read while the block runs: GET, with ranges.

    Ends the block with BackendUnavailableError when the store is out of reach for longer than `patience`, and
    with ProcessingFailedError when the object was replaced, is gone, or is shorter than it was said to be.
    """
    async with task_group() as tasks:
        blocks = ObjectBlocks(store, found, tasks, patience=patience)
        server = _Server(blocks)
        runner = web.AppRunner(
            server.application, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, 0).start()
            yield server.listening_on(runner.addresses[0][1])
        finally:
            await runner.cleanup()
            blocks.close()


class _Server:
    def __init__(self, blocks: ObjectBlocks) -> None:
        self._blocks = blocks
        self._path = f"/{secrets.token_urlsafe(32)}"
        self._authority = ""
        self.application = web.Application()
        self.application.router.add_get(self._path, self._answer, allow_head=False)

    def listening_on(self, port: int) -> str:
        """Where it is read."""
        self._authority = f"{_HOST}:{port}"
        return f"http://{self._authority}{self._path}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.host != self._authority:  # a page in somebody's browser, by a name that leads here
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
            # The reader is gone; or the attempt ends, which must not look like the end of the file.
            if request.transport:
                request.transport.abort()
        return response

    async def _send(self, response: web.StreamResponse, start: int, stop: int) -> None:
        """As fast as it is read: the encoder's own pace, for which it has a watchdog."""
        async for block in self._blocks.read(start, stop):
            for offset in range(0, len(block), _PIECE):
                await response.write(block[offset : offset + _PIECE])


def _wanted(request: web.Request, size: int) -> tuple[int, int]:
    """Start and end of what is asked for; the whole when nothing is said. Raises HTTP 416."""
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        start, stop = size, size
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={hdrs.CONTENT_RANGE: f"bytes */{size}"})
    return start, stop
