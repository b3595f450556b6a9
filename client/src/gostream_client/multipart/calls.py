"""UploadService with a deadline on every call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from gostream.v1 import (
    upload_pb2,
    upload_service_pb2,
    upload_service_pb2_grpc,
    video_pb2,
    video_service_pb2,
)

_DEADLINE = 10.0
#: Stores need time to join many parts.
_COMPLETE_DEADLINE = 60.0


class UploadCalls:
    """The calls of UploadService. Raises failures as ClientError.

    `options` returns deadline and metadata of a call; `answer` awaits a call and translates its failure.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        options: Callable[[float], Awaitable[dict[str, Any]]],
        answer: Callable[[Any], Awaitable[Any]],
    ) -> None:
        self._stub: Any = upload_service_pb2_grpc.UploadServiceStub(channel)
        self._options = options
        self._answer = answer

    async def create(self, video_id: str, size_bytes: int) -> upload_pb2.UploadSession:
        """Open a session, or return the open one."""
        request = upload_service_pb2.CreateUploadRequest(video_id=video_id, size_bytes=size_bytes)
        return await self._session(self._stub.CreateUpload, request)

    async def get(self, video_id: str) -> upload_pb2.UploadSession:
        """Returns the session with the stored parts."""
        request = upload_service_pb2.GetUploadRequest(video_id=video_id)
        return await self._session(self._stub.GetUpload, request)

    async def sign(
        self, video_id: str, generation: int, parts: Sequence[tuple[int, bytes]]
    ) -> Sequence[upload_pb2.SignedPart]:
        """Returns a request for each (number, MD5)."""
        request = upload_service_pb2.SignPartsRequest(
            video_id=video_id,
            generation=generation,
            parts=[upload_service_pb2.SignPartsRequest.Part(number=number, md5=md5) for number, md5 in parts],
        )
        answer = await self._answer(self._stub.SignParts(request, **await self._options(_DEADLINE)))
        signed: Sequence[upload_pb2.SignedPart] = answer.parts
        return signed

    async def complete(
        self, video_id: str, generation: int, *, process: video_service_pb2.ProcessOptions | None = None
    ) -> video_pb2.Video:
        """Make the parts the source; with `process`, start an encode."""
        request = upload_service_pb2.CompleteUploadRequest(
            video_id=video_id, generation=generation, process=process
        )
        options = await self._options(_COMPLETE_DEADLINE)
        video: video_pb2.Video = await self._answer(self._stub.CompleteUpload(request, **options))
        return video

    async def abort(self, video_id: str) -> upload_pb2.UploadSession:
        """End the session and remove its parts."""
        request = upload_service_pb2.AbortUploadRequest(video_id=video_id)
        return await self._session(self._stub.AbortUpload, request)

    async def _session(self, method: Any, request: Message) -> upload_pb2.UploadSession:
        session: upload_pb2.UploadSession = await self._answer(
            method(request, **await self._options(_DEADLINE))
        )
        return session
