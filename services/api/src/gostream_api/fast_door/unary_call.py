"""Serves one unary gRPC call over ASGI: reads the message, reads the video, sends response and status."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import structlog

from gostream_api.principal import ANONYMOUS
from gostream_api.reads.ports import Layer, LocalVideoReader
from gostream_api.rpc import grpc_framing
from gostream_api.rpc.encoded_reads import Answer, ReadCall
from gostream_api.rpc.grpc_framing import Header, RefusedError
from gostream_api.rpc.interceptors.errors import logged_failure
from gostream_api.rpc.interceptors.telemetry import REQUEST_ID, SANE, Meter, new_request_id
from gostream_shared.domain.errors import TooManyRequestsError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_START = {"type": "http.response.start", "status": 200, "headers": [_CONTENT_TYPE], "trailers": True}
_OK = [(b"grpc-status", b"0"), (b"grpc-message", b"")]
_REQUEST_ID = REQUEST_ID.encode()
_SANE = re.compile(SANE.pattern.encode())
_LAYERS: Mapping[Layer, Header] = {layer: (b"x-cache", layer.value.encode()) for layer in Layer}


class ClientLeftError(Exception):
    """The client closed the stream."""


class Gate:
    """Limits the number of waiting calls and refuses more. L1 hits do not count."""

    def __init__(self, most: int) -> None:
        self._free = most

    def __enter__(self) -> None:
        if not self._free:
            raise TooManyRequestsError
        self._free -= 1

    def __exit__(self, *_: object) -> None:
        self._free += 1


class Method:
    """Serves the calls of one method."""

    def __init__(self, path: str, call: ReadCall, reads: LocalVideoReader, gate: Gate) -> None:
        self._path = path
        self._call = call
        self._reads = reads
        self._gate = gate
        self._meter = Meter(path, is_unary=True)

    async def __call__(self, headers: list[Header], receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = b""
        try:
            known = dict(headers)
            grpc_framing.check_headers(known)
            timeout = grpc_framing.timeout_of(known)
            event = await receive()
            body = event.get("body", b"")
            if grpc_framing.missing(body) > 0:
                body = await _read_on(event, receive, timeout)
            message = grpc_framing.message_of(body, known.get(b"grpc-encoding"))
            request_id = _request_id(known)
            answer = self._call.local(self._reads, ANONYMOUS, message)
            is_local_hit = answer is not None
            if answer is None:
                left = None if timeout is None else timeout - (time.perf_counter() - started)
                answer = await self._load(message, receive, left, request_id)
        except ClientLeftError:
            self._meter.count(grpc.StatusCode.CANCELLED, time.perf_counter() - started)
        except RefusedError as refused:
            await _send_refusal(send, grpc_framing.status_headers(refused.code, str(refused)))
            self._meter.count(refused.code, time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
            code = await self._fail(send, error, request_id)
            self._meter.count(code, time.perf_counter() - started)
        else:
            await _send_answer(send, answer, request_id)
            if is_local_hit:
                self._meter.count_local_hit()
            else:
                self._meter.count(grpc.StatusCode.OK, time.perf_counter() - started)

    async def _load(
        self, message: bytes, receive: Receive, timeout: float | None, request_id: bytes
    ) -> Answer:
        """Load the reply, unless the client leaves or its deadline expires first."""
        structlog.contextvars.bind_contextvars(request_id=request_id.decode(), method=self._path)
        with self._gate:
            self._meter.begin()
            asking = asyncio.ensure_future(self._call.load(self._reads, ANONYMOUS, message))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait((asking, leaving), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    return asking.result()
                raise ClientLeftError if leaving.done() else grpc_framing.expired()
            finally:
                asking.cancel()
                leaving.cancel()
                self._meter.leave()

    async def _fail(self, send: Send, error: Exception, request_id: bytes) -> grpc.StatusCode:
        """Send the error as the interceptors of gostream-api do. Returns its status code."""
        name = request_id.decode()
        structlog.contextvars.bind_contextvars(request_id=name, method=self._path)
        failure = logged_failure(error, request_id=name)
        metadata = [grpc_framing.metadata_header(*pair) for pair in failure.trailers]
        status = grpc_framing.status_headers(failure.code, failure.message)
        await _send_refusal(send, [*status, (_REQUEST_ID, request_id), *metadata])
        return failure.code


async def _read_on(event: dict[str, Any], receive: Receive, timeout: float | None) -> bytearray:
    """Read the body until the first message is complete; `event` has its first part."""
    try:
        async with asyncio.timeout(timeout):
            return await _read_whole(event, receive)
    except TimeoutError:
        raise grpc_framing.expired() from None


async def _read_whole(event: dict[str, Any], receive: Receive) -> bytearray:
    body = bytearray(event.get("body", b""))
    while grpc_framing.missing(body) > 0:
        if event["type"] == "http.disconnect":
            raise ClientLeftError
        if not event.get("more_body"):
            raise grpc_framing.incomplete()
        event = await receive()
        body += event.get("body", b"")
    return body


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_answer(send: Send, answer: Answer, request_id: bytes) -> None:
    payload, layer = answer
    trailers = [*_OK, (_REQUEST_ID, request_id), _LAYERS[layer]]
    await send(_START)
    await send({"type": "http.response.body", "body": grpc_framing.framed(payload), "more_body": False})
    await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})


async def _send_refusal(send: Send, end: list[Header]) -> None:
    """Send an error without a message: its status is in the headers, without trailers."""
    await send({"type": "http.response.start", "status": 200, "headers": [_CONTENT_TYPE, *end]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _request_id(headers: Mapping[bytes, bytes]) -> bytes:
    given = headers.get(_REQUEST_ID)
    return given if given is not None and _SANE.fullmatch(given) else new_request_id().encode()
