"""The calls of UploadService."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from gostream.v1.upload_pb2 import SignedPart, UploadSession
from gostream.v1.upload_service_pb2 import (
    AbortUploadRequest,
    CompleteUploadRequest,
    CreateUploadRequest,
    GetUploadRequest,
    SignPartsRequest,
)
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import ProcessOptions
from gostream_client import table
from gostream_client.table import Call, Method

Answer = TypeVar("Answer")


class Ask(Protocol):
    """Executes a call of a client."""

    async def __call__(self, call: Call[Answer], /) -> Answer: ...


class UploadCalls:
    """UploadService with the deadlines of the table. Raises failures as GoStreamError."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def create(self, video_id: str, size_bytes: int) -> UploadSession:
        """Opens a session, or returns the open one."""
        request = CreateUploadRequest(video_id=video_id, size_bytes=size_bytes)
        return await self._session(table.CREATE_UPLOAD, request)

    async def get(self, video_id: str) -> UploadSession:
        """Returns the session with the stored parts."""
        return await self._session(table.GET_UPLOAD, GetUploadRequest(video_id=video_id))

    async def sign(
        self, video_id: str, generation: int, parts: Sequence[tuple[int, bytes]]
    ) -> Sequence[SignedPart]:
        """Returns a request for each (number, MD5)."""
        asked = [SignPartsRequest.Part(number=number, md5=md5) for number, md5 in parts]
        request = SignPartsRequest(video_id=video_id, generation=generation, parts=asked)
        call: Call[list[SignedPart]] = Call(
            table.SIGN_PARTS, request, None, lambda answer, trailers: list(answer.parts)
        )
        return await self._ask(call)

    async def complete(
        self, video_id: str, generation: int, *, process: ProcessOptions | None = None
    ) -> Video:
        """Makes the parts the source; with `process`, starts an encode."""
        request = CompleteUploadRequest(video_id=video_id, generation=generation, process=process)
        call: Call[Video] = Call(table.COMPLETE_UPLOAD, request, None)
        return await self._ask(call)

    async def abort(self, video_id: str) -> UploadSession:
        """Ends the session and removes its parts."""
        return await self._session(table.ABORT_UPLOAD, AbortUploadRequest(video_id=video_id))

    async def _session(self, method: Method, request: Message) -> UploadSession:
        call: Call[UploadSession] = Call(method, request, None)
        return await self._ask(call)
