"""More concurrent calls than the server admits: each succeeds or is refused with a reason."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any, NoReturn, cast
from uuid import uuid4

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)

from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.server import ApiServer
from gostream_api.rpc.servicer import SERVICE
from gostream_api.videos.watch import WatchService
from gostream_shared.domain.errors import VideoNotFoundError

NOT_FOUND, RESOURCE_EXHAUSTED = (
    str(code.value[0]) for code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED)
)
CALLS = 3000
_EMPTY_MESSAGE = bytes(5)


class EagerClient:
    """One connection with the maximum number of streams, like grpc-js and nghttp2.

    Opens a new stream as soon as trailers arrive.
    """

    def __init__(self, calls: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._left = calls
        self._unanswered = calls
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._ready = False

    async def run(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._connection.initiate_connection()
        try:
            while self._unanswered:
                self._open_streams()
                writer.write(self._connection.data_to_send())
                received = await reader.read(1 << 16)
                assert received, "the server closed the connection"
                for event in self._connection.receive_data(received):
                    self._take(event)
        finally:
            writer.close()

    def _open_streams(self) -> None:
        path = f"/{SERVICE}/GetVideo"
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test")]
        headers = [*pseudo, ("content-type", "application/grpc"), ("te", "trailers")]
        most = self._connection.remote_settings.max_concurrent_streams
        while self._ready and self._left and self._connection.open_outbound_streams < most:
            stream = self._connection.get_next_available_stream_id()
            self._connection.send_headers(stream, headers)
            self._connection.send_data(stream, _EMPTY_MESSAGE, end_stream=True)
            self._left -= 1

    def _take(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):
            self._ready = True
        elif isinstance(event, DataReceived):
            self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
        elif isinstance(event, ResponseReceived | TrailersReceived):
            fields = cast("dict[str, str]", dict(event.headers or ()))
            if "grpc-status" in fields:
                pushed_back = " pushed back" if "grpc-retry-pushback-ms" in fields else ""
                self._end(fields["grpc-status"] + pushed_back)
        elif isinstance(event, StreamReset) and event.error_code:
            self._end(f"reset {event.error_code!r}")

    def _end(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self._unanswered -= 1


@pytest.mark.slow
@pytest.mark.parametrize("max_calls", [5, CALLS])
async def test_excess_calls_are_refused_with_a_reason(max_calls: int) -> None:
    async def miss(request: bytes, context: object) -> NoReturn:
        await asyncio.sleep(0.01)
        raise VideoNotFoundError(uuid4())

    watches = WatchService(database=cast("Any", None), events=cast("Any", None))
    handlers: dict[str, Handler] = {"GetVideo": grpc.unary_unary_rpc_method_handler(miss)}
    server = ApiServer(handlers, watches, max_calls=max_calls, max_streams=1)
    port = await server.start("127.0.0.1", 0)
    client = EagerClient(CALLS)
    try:
        async with asyncio.timeout(300):
            await client.run(port)
    finally:
        await server.stop(delay=timedelta(0), grace=timedelta(0))

    refused = client.outcomes.pop(f"{RESOURCE_EXHAUSTED} pushed back", 0)
    answered = client.outcomes.pop(NOT_FOUND, 0)
    assert not client.outcomes
    assert answered + refused == CALLS
    assert bool(refused) == (max_calls < CALLS)
