"""A read door over reads in memory, and a client that sends any frame."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from ssl import SSLContext
from typing import Any
from uuid import UUID

import pytest
from grpc import aio
from h2 import events
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.auth.authenticator import Credential
from gostream_api.principal import READ, WRITE, Kind, Principal
from gostream_api.read_door.limits import Limits
from gostream_api.read_door.server import ReadDoor
from gostream_api.reads.ports import Layer, Read, VideoReply
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_shared.domain.errors import UnauthenticatedError, VideoNotFoundError
from tests.support.wire.raw_http import RawHttp

PATH = "/gostream.v1.VideoService/GetVideo"
HOT, COLD, ABSENT = (str(UUID(int=number)) for number in (1, 2, 3))


@dataclass
class Reads:
    """HOT is in L1, COLD waits for `loaded`, other videos do not exist."""

    payload: bytes = b"\x0a\x01x"
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    cancelled: int = 0
    conversions: int = 0  # to JSON

    def __post_init__(self) -> None:
        self.reply = VideoReply(1, self.payload)

    def peek_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> bytes | None:
        if str(video_id) == ABSENT:
            raise VideoNotFoundError(video_id)
        return self.payload if str(video_id) == HOT else None

    def peek_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> list[bytes] | None:
        return [self.payload for _ in video_ids] if {*map(str, video_ids)} == {HOT} else None

    def peek_reply(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> VideoReply | None:
        payload = self.peek_video(caller, video_id, min_version=min_version)
        return None if payload is None else self.reply

    def peek_replies(self, caller: Principal, video_ids: Sequence[UUID]) -> list[VideoReply] | None:
        return [self.reply for _ in video_ids] if self.peek_videos(caller, video_ids) is not None else None

    def keep_json(self, video_id: UUID, reply: VideoReply, json: bytes) -> None:
        reply.json = json
        self.conversions += 1

    async def get_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> Read:
        if reply := self.peek_reply(caller, video_id):
            return Read(reply, Layer.L1)
        self.waiting += 1
        try:
            await self.loaded.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1
        return Read(self.reply, Layer.MISS)

    async def get_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        return {video_id: await self.get_video(caller, video_id) for video_id in video_ids}


class Tokens:
    """Knows a reader and a writer, with dots for longer tokens; a new token is known after its first call.

    `nobody` is the caller without a token.
    """

    def __init__(self, nobody: Principal | None = None) -> None:
        scopes = {b"reader": READ, b"writer": WRITE}
        self.known: dict[Credential, Principal] = {
            scheme + name: Principal(kind=Kind.USER, id=name.decode(), owner="", scopes=frozenset({scope}))
            for name, scope in scopes.items()
            for scheme in (b"Bearer ", b"bearer ")
        }
        if nobody is not None:
            self.known[None] = nobody

    def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
        return self.known.get(token.rstrip(b".") if isinstance(token, bytes) else token)

    async def later(self, token: Credential, certificate: Credential = None) -> Principal:
        if token != b"Bearer new":
            raise UnauthenticatedError("unknown")
        await asyncio.sleep(0)
        return self.known.setdefault(token, self.known[b"Bearer reader"])


@dataclass
class Started:
    """A running door."""

    door: ReadDoor
    reads: Reads
    port: int

    async def ask(self, video_id: str = HOT, **options: Any) -> bytes:
        """Asks as an ordinary client on a new connection."""
        async with aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub: Any = VideoServiceStub(channel)
            reply = await stub.GetVideo(GetVideoRequest(id=video_id), **({"timeout": 30} | options))
            return bytes(reply.SerializeToString())


class RawClient:
    """A client connection whose frames are built by the test; h2 encodes headers and parses replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.h2 = H2Connection(
            H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        )
        self.h2.initiate_connection()
        self.reader, self.writer = reader, writer
        self.seen: list[events.Event] = []
        self.rest = b""
        self.is_silent = False  # h2's replies, such as that to a ping, wait for `send`

    def headers(self, *more: tuple[str, str], path: str = PATH) -> list[tuple[str, str]]:
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        return [*pseudo, ("content-type", "application/grpc"), ("te", "trailers"), *more]

    def ask(self, stream: int, video_id: str = HOT, *more: tuple[str, str]) -> None:
        message = GetVideoRequest(id=video_id).SerializeToString()
        self.h2.send_headers(stream, self.headers(*more))
        self.h2.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)

    def send(self, data: bytes = b"") -> None:
        """Send what h2 has prepared, then `data`."""
        self.writer.write(self.h2.data_to_send() + data)

    async def until(self, kind: type[events.Event]) -> Any:
        """Returns the next event of this kind."""
        while True:
            for index, event in enumerate(self.seen):
                if isinstance(event, kind):
                    del self.seen[: index + 1]
                    return event
            await self.receive()

    async def receive(self) -> None:
        """Waits for data and parses them into `seen`."""
        data = await self.reader.read(65536)
        assert data, f"closed; seen {self.seen}"
        self.rest += data
        while len(self.rest) >= 9 and len(self.rest) >= (end := 9 + int.from_bytes(self.rest[:3], "big")):
            found = self.h2.receive_data(self.rest[:end])
            self.rest = self.rest[end:]
            self.seen += found
            if any(isinstance(event, events.ConnectionTerminated) for event in found):
                self.h2.state_machine.state = ConnectionState.CLIENT_OPEN  # calls go on after a GOAWAY
        if not self.is_silent:
            self.writer.write(self.h2.data_to_send())

    async def goaway(self) -> int:
        """Returns the error code of the GOAWAY frame that ends the connection, and waits for the close."""
        code = (await self.until(events.ConnectionTerminated)).error_code
        await self.closed()
        return int(code)

    async def closed(self) -> None:
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:  # the door stops reading what still arrives
            pass


@pytest.fixture(params=["on", pytest.param("off", marks=pytest.mark.slow)], ids=lambda mode: f"short {mode}")
def short(request: Any) -> str:
    """READ_DOOR_SHORT; tests run in both modes."""
    return str(request.param)


@pytest.fixture
async def start_door(short: str) -> AsyncIterator[Callable[..., Awaitable[Started]]]:
    """A function that starts a read door; its keywords are limits."""
    async with AsyncExitStack() as stack:

        async def start(*, max_calls: int = 100, tls: SSLContext | None = None, **limits: Any) -> Started:
            limiter = ConcurrencyLimiter(max_calls=max_calls, max_streams=1)
            reads = Reads()
            door = ReadDoor(
                reads,
                limiter,
                host="127.0.0.1",
                port=0,
                full_port=50051,
                limits=Limits(**({"tick": 0.02} | limits)),
                tls=tls,
                is_short=short == "on",
            )
            port = await door.start()
            stack.push_async_callback(door.stop, timedelta(0))
            return Started(door, reads, port)

        yield start


@pytest.fixture
async def started(start_door: Callable[..., Awaitable[Started]]) -> Started:
    """A read door with its usual limits."""
    return await start_door()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Started], Awaitable[RawClient]]]:
    """A function that opens a raw connection to a door."""
    writers = []

    async def open_one(started: Started) -> RawClient:
        reader, writer = await asyncio.open_connection("127.0.0.1", started.port)
        writers.append(writer)
        return RawClient(reader, writer)

    yield open_one
    for writer in writers:
        writer.transport.abort()


@pytest.fixture
async def dial() -> AsyncIterator[Callable[..., Awaitable[RawHttp]]]:
    """A function that opens an HTTP/1.1 connection to a door."""
    clients: list[RawHttp] = []

    async def open_one(started: Started, **options: Any) -> RawHttp:
        clients.append(await RawHttp.open(started.port, **options))
        return clients[-1]

    yield open_one
    for client in clients:
        client.writer.transport.abort()


@pytest.fixture
def reads() -> Reads:
    """The reads of a door that is not started."""
    return Reads()
