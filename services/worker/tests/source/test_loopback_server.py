"""A stored object served on loopback: correct bytes, few requests, one client, no leftovers."""

import asyncio
import hashlib
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from gostream_shared.config import load
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.storage.port import ObjectStore, StoredObject
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.config import WorkerConfig
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.source import range_reader
from gostream_worker.source.loopback_server import serve_object
from tests.support.tcp_proxy import Proxy

pytestmark = pytest.mark.stack
#: A little more than twenty blocks of a small size.
BLOCK = 10_000
BODY = random.Random(1).randbytes(20 * BLOCK + 1234)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_reader, "BLOCK", BLOCK)


@dataclass
class Counting:
    """The real store, with a record of read offsets."""

    store: S3ObjectStore
    starts: list[int] = field(default_factory=list)

    async def read_range(self, key: str, *, start: int, size: int, etag: str) -> bytes:
        self.starts.append(start)
        return await self.store.read_range(key, start=start, size=size, etag=etag)


@pytest.fixture
async def film(store: S3ObjectStore) -> StoredObject:
    key = f"uploads/{uuid4()}"
    await store.put(key, BODY, content_type="video/mp4")
    return await store.head(key)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@asynccontextmanager
async def served(
    store: S3ObjectStore | Counting, found: StoredObject, *, patience: float = 0.0
) -> AsyncIterator[str]:
    async with serve_object(cast("ObjectStore", store), found, patience=patience) as url:
        yield url


async def read(http: aiohttp.ClientSession, url: str, wanted: str | None = None) -> bytes:
    headers = {"Range": wanted} if wanted else {}
    async with http.get(url, headers=headers) as answer:
        assert answer.status == (206 if wanted else 200)
        return await answer.read()


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        (None, 0, len(BODY)),
        ("bytes=0-", 0, len(BODY)),
        ("bytes=0-0", 0, 1),
        (f"bytes={BLOCK - 1}-{BLOCK}", BLOCK - 1, BLOCK + 1),
        (f"bytes={BLOCK}-{2 * BLOCK - 1}", BLOCK, 2 * BLOCK),
        (f"bytes=12345-{9 * BLOCK + 7}", 12345, 9 * BLOCK + 8),
        (f"bytes={len(BODY) - 1}-", len(BODY) - 1, len(BODY)),
        ("bytes=-100", len(BODY) - 100, len(BODY)),
        (f"bytes=5-{10 * len(BODY)}", 5, len(BODY)),
    ],
)
async def test_any_range_returns_the_objects_bytes(
    store: S3ObjectStore,
    film: StoredObject,
    http: aiohttp.ClientSession,
    wanted: str | None,
    start: int,
    stop: int,
) -> None:
    async with served(store, film) as url:
        assert await read(http, url, wanted) == BODY[start:stop]


async def test_one_pass_fetches_each_block_once(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession
) -> None:
    counting = Counting(store)
    async with served(counting, film) as url:
        await read(http, url)

    assert sorted(counting.starts) == list(range(0, len(BODY), BLOCK))


async def test_readers_at_one_position_share_a_fetch(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession
) -> None:
    counting = Counting(store)
    async with served(counting, film) as url:
        looks = [read(http, url, f"bytes={start}-{start + 15}") for start in range(0, 5000, 500)]
        await asyncio.gather(*looks)

    assert counting.starts == [0]


async def test_read_ahead_stops_while_the_reader_pauses(
    store: S3ObjectStore, film: StoredObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(store)
    async with asyncio.TaskGroup() as tasks:
        whole = range_reader.ObjectBlocks(cast("ObjectStore", counting), film, tasks, patience=0)
        reading = whole.read(0, film.size)
        await anext(reading)
        await asyncio.sleep(0.5)
        assert counting.starts == [0], "a new reader gets no read-ahead"
        for _ in range(4):
            await anext(reading)
        await asyncio.sleep(0.5)

        assert max(counting.starts) == (4 + range_reader.READ_AHEAD) * BLOCK


async def test_old_blocks_are_evicted(store: S3ObjectStore, film: StoredObject) -> None:
    counting = Counting(store)
    async with asyncio.TaskGroup() as tasks:
        held = range_reader.ObjectBlocks(cast("ObjectStore", counting), film, tasks, patience=0)
        async for _ in held.read(0, film.size):
            assert len(held._blocks) <= range_reader.KEPT + range_reader.READ_AHEAD + 1
        async for _ in held.read(0, 1):
            pass

    assert counting.starts.count(0) == 2


async def test_requests_without_the_secret_path_are_refused(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession
) -> None:
    async with served(store, film) as url, served(store, film) as other:
        root = url.rpartition("/")[0]
        foreign = f"{root}/{other.rpartition('/')[2]}"
        for address in (f"{root}/", f"{root}/input.bin", foreign, url + "/"):
            async with http.get(address) as answer:
                assert answer.status == 404
        for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            async with http.request(method, url) as answer:
                assert answer.status == 405
        for host in ("localhost", "attacker.example", urlsplit(other).netloc):
            async with http.get(url, headers={"Host": host}) as answer:
                assert answer.status == 403
        assert urlsplit(url).hostname == "127.0.0.1"


@pytest.mark.parametrize("wanted", [f"bytes={len(BODY)}-", "bytes=5-2", "bytes=0-1,5-6", "lines=1-2"])
async def test_invalid_ranges_are_refused(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession, wanted: str
) -> None:
    async with served(store, film) as url, http.get(url, headers={"Range": wanted}) as answer:
        assert answer.status == 416


async def test_server_stops_with_the_block_despite_readers(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession
) -> None:
    async with served(store, film) as url, http.get(url) as answer:
        await answer.content.readexactly(1)

    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(url)


async def test_pending_fetches_at_exit_raise_nothing(
    environment: dict[str, str], film: StoredObject, http: aiohttp.ClientSession
) -> None:
    async with behind_a_proxy(environment) as (store, proxy), served(store, film) as url:
        async with http.get(url) as answer:
            await answer.content.readexactly(1)
            proxy.to_client.hold()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.content.readexactly(len(BODY)), 1)
        proxy.refuses = True
        proxy.cut()


@asynccontextmanager
async def behind_a_proxy(environment: dict[str, str]) -> AsyncIterator[tuple[S3ObjectStore, Proxy]]:
    endpoint = urlsplit(environment["S3_ENDPOINT_URL"])
    async with Proxy.to(endpoint.hostname or "", endpoint.port or 0) as proxy:
        moved = environment | {"S3_ENDPOINT_URL": f"http://{proxy.host}:{proxy.port}"}
        async with S3ObjectStore.open(load(WorkerConfig, moved)) as store:
            yield store, proxy


async def test_cut_connection_is_resumed(
    environment: dict[str, str], film: StoredObject, http: aiohttp.ClientSession
) -> None:
    async with behind_a_proxy(environment) as (store, proxy), served(store, film, patience=30) as url:
        digest = hashlib.sha256()
        async with http.get(url) as answer:
            while piece := await answer.content.read(3000):
                digest.update(piece)
                if random.random() < 0.2:
                    proxy.cut()

    assert digest.digest() == hashlib.sha256(BODY).digest()


@pytest.mark.slow
async def test_lasting_store_outage_ends_the_block(
    environment: dict[str, str], film: StoredObject, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(BackendUnavailableError):
        async with behind_a_proxy(environment) as (store, proxy), served(store, film) as url:
            async with http.get(url) as answer:
                await answer.content.readexactly(BLOCK)
                proxy.refuses = True
                proxy.cut()
                with pytest.raises(aiohttp.ClientError):
                    await answer.read()
            await asyncio.sleep(60)


async def test_replaced_object_ends_the_block(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(ProcessingFailedError) as failed:
        async with served(store, film) as url:
            await read(http, url, "bytes=0-0")
            await store.put(film.key, BODY[::-1], content_type="video/mp4")
            with pytest.raises(aiohttp.ClientError):
                await read(http, url, f"bytes={5 * BLOCK}-")
            await asyncio.sleep(60)

    assert failed.value.code is Code.SOURCE_REPLACED
    assert failed.value.failure.retryable


async def test_body_shorter_than_declared_is_truncated(
    store: S3ObjectStore, film: StoredObject, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(ProcessingFailedError) as failed:
        async with served(store, replace(film, size=film.size + BLOCK)) as url:
            with pytest.raises(aiohttp.ClientError):
                await read(http, url, "bytes=0-")
            await asyncio.sleep(60)

    assert failed.value.code is Code.TRUNCATED


class Block(bytearray):
    """Bytes that support weak references."""


async def test_departed_readers_leave_few_blocks_in_memory(
    film: StoredObject,
) -> None:
    sent: list[weakref.ref[Block]] = []

    class Watched:
        async def read_range(self, key: str, *, start: int, size: int, etag: str) -> Block:
            block = Block(size)
            sent.append(weakref.ref(block))
            return block

    async with asyncio.TaskGroup() as tasks:
        served = range_reader.ObjectBlocks(cast("ObjectStore", Watched()), film, tasks, patience=5)
        for start in range(0, film.size, BLOCK):
            reader = asyncio.ensure_future(anext(served.read(start, start + 1)))
            await asyncio.sleep(0)
            reader.cancel()

    assert len(sent) == 21
    assert sum(block() is not None for block in sent) <= range_reader.KEPT
