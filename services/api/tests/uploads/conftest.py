"""UploadService of the API under test, and a client that sends parts."""

import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from yarl import URL

from gostream.v1 import upload_service_pb2 as messages
from gostream.v1.upload_pb2 import UploadSession
from gostream.v1.upload_service_pb2_grpc import UploadServiceStub
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.storage.s3 import S3ObjectStore

#: The size of a part; sources of the tests have one full part and a small one.
PART = 8 << 20
SIZE = PART + 5


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def content(size: int = SIZE) -> bytes:
    return (hashlib.sha256(b"film").digest() * (size // 32 + 1))[:size]


@dataclass(frozen=True)
class Uploads:
    """The calls of UploadService for one caller."""

    stub: Any

    async def create(self, video_id: str, size: int = SIZE) -> UploadSession:
        request = messages.CreateUploadRequest(video_id=video_id, size_bytes=size)
        session: UploadSession = await self.stub.CreateUpload(request)
        return session

    async def get(self, video_id: str) -> UploadSession:
        session: UploadSession = await self.stub.GetUpload(messages.GetUploadRequest(video_id=video_id))
        return session

    async def sign(self, session: UploadSession, number: int, body: bytes) -> Any:
        part = messages.SignPartsRequest.Part(number=number, md5=md5(body))
        request = messages.SignPartsRequest(
            video_id=session.video_id, generation=session.generation, parts=[part]
        )
        return (await self.stub.SignParts(request)).parts[0]

    async def send(self, session: UploadSession, number: int, body: bytes) -> int:
        """Sends a part and returns the store's status."""
        return await put(await self.sign(session, number, body), body)

    async def send_all(self, session: UploadSession, body: bytes | None = None) -> None:
        """Sends every part of a source."""
        body = content(session.size_bytes) if body is None else body
        for number in range(1, session.part_count + 1):
            start = (number - 1) * session.part_size
            assert await self.send(session, number, body[start : start + session.part_size]) == 200

    async def complete(self, session: UploadSession, profile: str | None = None) -> Any:
        request = messages.CompleteUploadRequest(video_id=session.video_id, generation=session.generation)
        if profile is not None:
            request.process.profile = profile
        return await self.stub.CompleteUpload(request)

    async def abort(self, video_id: str) -> UploadSession:
        session: UploadSession = await self.stub.AbortUpload(messages.AbortUploadRequest(video_id=video_id))
        return session


async def put(part: Any, body: bytes) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.put(URL(part.url, encoded=True), data=io.BytesIO(body), headers=dict(part.headers)) as answer,
    ):
        return answer.status


@pytest.fixture
def uploads(api: Any) -> Uploads:
    return Uploads(UploadServiceStub(api.channel))


@pytest.fixture
async def store(environment: dict[str, str], object_store_server: SeaweedFS) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(load(Config, environment)) as store:
        yield store


@pytest.fixture
async def video_id(api: Any) -> str:
    """A video that waits for a source of SIZE bytes."""
    return str((await api.create(size_bytes=SIZE)).video.id)
