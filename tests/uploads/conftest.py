"""An API, a client of it, and a proxy in front of the object store that counts what clients send."""

import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from gostream_client import AsyncClient
from gostream_devstack.servers.seaweedfs import SeaweedFS
from gostream_shared.config import Config, load
from gostream_shared.domain.object_keys import source_key
from gostream_shared.storage.s3 import S3ObjectStore
from services.api.tests.conftest import database as database
from services.api.tests.conftest import environment as plain_environment
from services.api.tests.conftest import start_api as start_api
from tests.support.tcp_proxy import Proxy

__all__ = ["plain_environment"]
MIB = 1 << 20
PART = 8 * MIB


@pytest.fixture
async def proxy(object_store_server: SeaweedFS) -> AsyncIterator[Proxy]:
    """The way of clients to the object store."""
    parts = urlsplit(object_store_server.endpoint_url)
    assert parts.hostname
    assert parts.port
    async with Proxy.to(parts.hostname, parts.port) as proxy:
        yield proxy


@pytest.fixture
def environment(plain_environment: dict[str, str], proxy: Proxy) -> dict[str, str]:
    return plain_environment | {"S3_PUBLIC_ENDPOINT_URL": f"http://{proxy.host}:{proxy.port}"}


@pytest.fixture
async def address(start_api: Callable[..., Awaitable[Any]]) -> str:
    return f"127.0.0.1:{(await start_api()).port}"


@pytest.fixture
async def client(address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address, timeout=120) as client:
        yield client


@pytest.fixture
async def store(environment: dict[str, str]) -> AsyncIterator[S3ObjectStore]:
    async with S3ObjectStore.open(load(Config, environment)) as store:
        yield store


def film(path: Path, size: int, seed: int = 0) -> Path:
    """Writes a file of random bytes."""
    generator = random.Random(seed)
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(generator.randbytes(min(MIB, size - start)))
    return path


def size_of(path: Path) -> int:
    return path.stat().st_size


async def created(client: AsyncClient, path: Path) -> str:
    """A video that waits for the file."""
    video = await client.create_video(
        title="Film", user_id="u", content_type="video/mp4", size_bytes=size_of(path)
    )
    return video.video.id


async def stored(store: S3ObjectStore, video_id: str) -> str:
    """The SHA-256 of the source, read in ranges."""
    head = await store.head(source_key(UUID(video_id)))
    digest = hashlib.sha256()
    for start in range(0, head.size, PART):
        digest.update(await store.read_range(head.key, start=start, size=PART, etag=head.etag))
    return digest.hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
