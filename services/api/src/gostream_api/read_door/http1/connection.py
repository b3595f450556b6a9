"""One HTTP/1.1 connection of the read door: its transport, the order of answers, its times and its end."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

import structlog

from gostream_api.auth.mtls import spiffe_id_in
from gostream_api.read_door.backlog import Backlog
from gostream_api.read_door.http1.calls import Client, JsonCall, JsonTable
from gostream_api.read_door.http1.replies import Answer, encoded
from gostream_api.read_door.http1.requests import Request, RequestParser
from gostream_api.read_door.limits import MAX_PIPELINED, MAX_REQUESTS_IN_TURN, Limits

#: Bytes that wait in the transport before no further request is answered.
_HIGH_WATER = 256 * 1024
#: Bytes that are parsed at once, which bounds the number of parsed requests.
_SLICE = 8 * 1024

_log = structlog.stdlib.get_logger("gostream.read_door")


class Http1Connection(asyncio.Protocol):
    """Serves one client, one call at a time. `gone` is called when the transport is closed."""

    def __init__(
        self, table: JsonTable, limits: Limits, backlog: Backlog, gone: Callable[["Http1Connection"], None]
    ) -> None:
        self._table = table
        self._limits = limits
        self._backlog = backlog
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser()
        self._rest = b""  # received and not parsed
        self._task: asyncio.Task[None] | None = None
        self._is_open = True  # False while the transport's buffer is full
        self._is_scheduled = False  # the next turn
        self._queued = 0  # bytes of a full buffer
        self._served = self._seen = 0  # requests; as of the last check
        self._begun = 0  # as of the last check
        now = self._loop.time()
        self._began = self._busy = self._head = self._moved = now
        self._age = limits.age * random.uniform(0.9, 1.1)  # noqa: S311
        self._draining: float | None = None
        self._ended: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._client = Client(spiffe_id_in(transport.get_extra_info("peercert")))

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        if not self._is_between:
            self._rest += data
            self._proceed()
            return
        if not self._backlog.is_full and (call := self._table.recognise(data, self._client)) is not None:
            self._serve(_USUAL, call)
            return
        self._rest = data[_SLICE:]
        self._parser.feed(data[:_SLICE])
        requests = self._parser.requests
        if len(requests) == 1 and not self._rest and not self._parser.is_unfinished:
            self._table.learn(data, requests[0])
        self._proceed()

    def eof_received(self) -> None:
        # A client that ends its side does not wait: most of them have gone.
        self._ended = self._loop.time()
        self._rest = b""
        self._leave()

    def pause_writing(self) -> None:
        self._is_open = False
        self._queued = self._transport.get_write_buffer_size()
        self._backlog.size += self._queued
        self._moved = self._loop.time()
        self._pace()

    def resume_writing(self) -> None:
        self._is_open = True
        self._forget_queued()
        self._proceed()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = self._loop.time()
        self._leave()
        self._forget_queued()
        self._parser.close()
        self._gone(self)

    def drain(self) -> None:
        """Make the next answer the last one, and close the connection if no request arrives."""
        if self._draining is None:
            self._draining = self._loop.time()

    def abort(self) -> None:
        self._transport.abort()

    def check(self, now: float) -> None:
        """Enforce the limits of time."""
        limits = self._limits
        self._note_use(now)
        if self._ended is not None:
            is_sent = not self._transport.get_write_buffer_size()
            if now - max(self._ended, self._moved) > (limits.linger if is_sent else limits.stall):
                self._transport.abort()
        elif now - self._moved > limits.stall:
            self._log("queued replies are not read")
            self._transport.abort()
        elif self._is_receiving and now - self._head > limits.handshake:
            self._log("slow headers")
            self._parser.expire()
            self._proceed()
        elif now - self._busy > (limits.idle if self._draining is None else limits.quiet):
            self._end()
        elif now - self._began > self._age:
            self.drain()

    @property
    def _is_between(self) -> bool:
        """True if no request is unfinished or unanswered."""
        return self._task is None and self._is_open and not self._rest and not self._is_parsing

    @property
    def _is_receiving(self) -> bool:
        """True if the next step is the client's, within a request."""
        is_idle = self._task is None and self._is_open and not self._rest and not self._parser.requests
        return is_idle and self._parser.is_unfinished

    @property
    def _is_parsing(self) -> bool:
        return self._parser.is_unfinished or bool(self._parser.requests)

    def _proceed(self) -> None:
        """Answer what can be answered now, and parse further."""
        parser = self._parser
        turn = 0
        while self._ended is None and self._task is None and self._is_open:
            if parser.requests:
                if turn == MAX_REQUESTS_IN_TURN:
                    self._schedule()
                    break
                turn += 1
                self._begin(parser.requests.popleft())
            elif self._rest:
                part, self._rest = self._rest[:_SLICE], self._rest[_SLICE:]
                parser.feed(part)
            else:
                break
        self._pace()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_scheduled = False
        self._proceed()

    def _pace(self) -> None:
        """Leave further requests in the socket while many wait."""
        if self._ended is None and not self._transport.is_closing():
            if self._is_open and len(self._rest) <= MAX_PIPELINED:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _begin(self, request: Request) -> None:
        opened = self._table.open(request, self._client.certificate)
        if isinstance(opened, Answer):
            self._send(request, opened)
        elif self._backlog.is_full:
            self._send(request, opened.refuse_busy())
        else:
            self._serve(request, opened)

    def _serve(self, request: Request, call: JsonCall) -> None:
        answer = call.answer()
        if answer is None:
            self._task = self._loop.create_task(self._load(request, call))
        else:
            self._send(request, answer)

    async def _load(self, request: Request, call: JsonCall) -> None:
        answer = await call.load(self._limits.deadline)
        self._task = None
        if self._ended is None:
            self._send(request, answer)
            self._proceed()

    def _send(self, request: Request, answer: Answer) -> None:
        self._served += 1
        closes = request.closes or self._draining is not None
        self._transport.write(encoded(answer, closes=closes, has_body=request.method != b"HEAD"))
        if closes:
            self._end()

    def _end(self) -> None:
        """Close after what is written; the client closes its side, or `check` ends the wait for it.

        To close at once would reset the connection if data are unread, and the client would lose the rest.
        """
        self._ended = self._loop.time()
        self._rest = b""
        if not self._transport.can_write_eof():  # TLS
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()

    def _leave(self) -> None:
        """Cancel the call of a client that has gone."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _forget_queued(self) -> None:
        self._backlog.size -= self._queued
        self._queued = 0

    def _note_use(self, now: float) -> None:
        """Note whether there were requests since the last check, and whether the client reads its replies."""
        if self._served != self._seen or self._task is not None or self._is_parsing:
            self._seen, self._busy = self._served, now
        if self._parser.begun != self._begun or not self._is_receiving:
            self._begun, self._head = self._parser.begun, now
        left = self._transport.get_write_buffer_size()
        if left < self._queued:
            self._backlog.size -= self._queued - left
            self._queued, self._moved = left, now
        elif self._is_open and self._ended is None:
            self._moved = now

    def _log(self, reason: str) -> None:
        peer = self._transport.get_extra_info("peername")
        _log.info("connection ended", reason=reason, peer=str(peer and peer[0]))


_USUAL = Request()
