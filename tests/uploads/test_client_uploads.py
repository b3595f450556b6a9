"""Uploads in parts by the client: parallel, resumed, over failing ways, and with expiring URLs."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gostream.v1.upload_pb2 import UploadSession
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import ProcessOptions
from gostream_client import AsyncClient, GoStreamError, InvalidInputError, UnreachableError
from gostream_client.upload.file_parts import FileParts
from gostream_client.upload.part import put_part
from gostream_client.upload.parts import PartOptions, Reports, upload_in_parts
from gostream_client.upload.session_calls import UploadCalls
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.storage.s3 import S3ObjectStore
from tests.support.tcp_proxy import Proxy

from .conftest import MIB, PART, created, film, sha256, size_of, stored

QUICK = PartOptions(backoff=0.01)


def sessions(client: AsyncClient) -> UploadCalls:
    """UploadService of a client."""
    return UploadCalls(client._answer)


#: Bytes of HTTP around a part.
_HEADS = 4096


async def test_file_arrives_in_parts(
    client: AsyncClient, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", 3 * PART + 5)
    video_id, counts = await created(client, path), list[int]()

    video = await upload_in_parts(
        sessions(client),
        video_id,
        path,
        process=ProcessOptions(profile="quality"),
        reports=Reports(on_sent=counts.append),
    )

    assert (video.id, video.status) == (video_id, Video.STATUS_PROCESSING)
    assert await stored(store, video_id) == sha256(path)
    assert proxy.to_server.passed < path.stat().st_size + 4 * _HEADS
    assert (counts[0], counts[-1], max(counts)) == (0, 3 * PART + 5, 3 * PART + 5)


@pytest.mark.slow
async def test_parallel_parts_are_twice_as_fast(client: AsyncClient, proxy: Proxy, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 4 * PART)
    # 64 KiB in 26 ms are 20 Mbit/s for each connection; the answers are 50 ms late.
    proxy.to_server.delay, proxy.to_client.delay = 0.026, 0.05

    async def seconds(parallel: int) -> float:
        video_id, began = await created(client, path), monotonic()
        await upload_in_parts(sessions(client), video_id, path, options=PartOptions(parallel=parallel))
        return monotonic() - began

    one, four = await seconds(1), await seconds(4)

    print(f"32 MiB: one stream {one:.1f} s, four {four:.1f} s")
    assert one >= 2 * four


async def test_stored_parts_are_not_sent_again(
    client: AsyncClient, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", 3 * PART)
    video_id = await created(client, path)
    await send_parts(client, video_id, path, [1, 3])
    before = proxy.to_server.passed

    async with AsyncClient(client.server, timeout=120) as other:  # another machine, which knows only the id
        await upload_in_parts(sessions(other), video_id, path, options=QUICK)

    assert PART < proxy.to_server.passed - before < PART + _HEADS
    assert await stored(store, video_id) == sha256(path)


async def test_changed_parts_are_sent_again(
    client: AsyncClient, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", 3 * PART)
    video_id = await created(client, path)
    await send_parts(client, video_id, path, [1, 2, 3])
    with path.open("r+b") as file:
        file.seek(PART + 17)
        file.write(b"changed")
    before = proxy.to_server.passed
    await asyncio.sleep(1.1)

    await upload_in_parts(sessions(client), video_id, path, options=QUICK)

    assert PART < proxy.to_server.passed - before < PART + _HEADS
    assert await stored(store, video_id) == sha256(path)


async def test_file_that_changes_meanwhile_is_refused(client: AsyncClient, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 2 * PART)
    video_id = await created(client, path)

    def touch(sent: int) -> None:
        if sent:
            os.utime(path, ns=(1, 1))

    with pytest.raises(GoStreamError, match="changed during the upload"):
        await upload_in_parts(sessions(client), video_id, path, options=QUICK, reports=Reports(on_sent=touch))
    assert (await sessions(client).get(video_id)).state == UploadSession.STATE_OPEN


async def test_file_of_another_size_is_refused(client: AsyncClient, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 2 * PART)
    video_id = await created(client, path)
    await send_parts(client, video_id, path, [1])

    with pytest.raises(InvalidInputError, match=f"has {MIB} bytes, but the upload .* has {2 * PART}"):
        await upload_in_parts(sessions(client), video_id, film(tmp_path / "other.mp4", MIB))


async def test_broken_connections_are_repeated(
    client: AsyncClient, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    path, retries = film(tmp_path / "film.mp4", 3 * PART), list[str]()
    video_id = await created(client, path)
    cuts = iter((PART // 2, PART * 2))
    limit = next(cuts)

    def cut(sent: int) -> None:
        nonlocal limit
        if sent > limit:
            limit = next(cuts, 100 * PART)
            proxy.cut()

    await upload_in_parts(
        sessions(client),
        video_id,
        path,
        options=QUICK,
        reports=Reports(on_sent=cut, on_retry=retries.append),
    )

    assert retries
    assert all("X-Amz" not in each for each in retries)
    assert await stored(store, video_id) == sha256(path)


@pytest.mark.slow
async def test_stalled_part_is_repeated(
    client: AsyncClient, store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    path, retries = film(tmp_path / "film.mp4", PART + 1), list[str]()
    video_id = await created(client, path)
    proxy.to_server.hold()

    def retried(why: str) -> None:
        retries.append(why)
        proxy.to_server.release()

    options = PartOptions(stall=3, backoff=0.01)
    await upload_in_parts(
        sessions(client), video_id, path, options=options, reports=Reports(on_retry=retried)
    )

    assert "accepted no data of part" in retries[0]
    assert await stored(store, video_id) == sha256(path)


async def test_unreachable_store_ends_the_upload(client: AsyncClient, proxy: Proxy, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", PART)
    video_id = await created(client, path)
    proxy.refuses = True

    with pytest.raises(UnreachableError, match="the connection to the object store failed at http"):
        await upload_in_parts(sessions(client), video_id, path, options=PartOptions(backoff=0.001))


async def test_expired_urls_are_replaced_silently(
    start_api: Callable[..., Awaitable[Any]], store: S3ObjectStore, proxy: Proxy, tmp_path: Path
) -> None:
    api = await start_api(UPLOAD_PART_TTL="1s")
    path, retries = film(tmp_path / "film.mp4", 2 * PART), list[str]()
    async with AsyncClient(f"127.0.0.1:{api.port}", timeout=120) as client:
        video_id = await created(client, path)
        late: Any = LateUrls(sessions(client))

        await upload_in_parts(late, video_id, path, options=QUICK, reports=Reports(on_retry=retries.append))

    assert late.expired == 2
    assert retries == []
    assert await stored(store, video_id) == sha256(path)


class LateUrls:
    """Calls of UploadService whose first URL of each part has expired when it is used."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls
        self._seen: set[int] = set()
        self.expired = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calls, name)

    async def sign(self, video_id: str, generation: int, parts: Any) -> Any:
        signed = await self._calls.sign(video_id, generation, parts)
        if parts[0][0] not in self._seen:
            self._seen.add(parts[0][0])
            self.expired += 1
            await asyncio.sleep(2.1)
        return signed


async def test_aborted_upload_ends_the_client(client: AsyncClient, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 3 * PART)
    video_id = await created(client, path)

    class Aborting(LateUrls):
        async def sign(self, video_id: str, generation: int, parts: Any) -> Any:
            signed = await self._calls.sign(video_id, generation, parts)
            await self._calls.abort(video_id)
            return signed

    calls: Any = Aborting(sessions(client))
    with pytest.raises(GoStreamError) as caught:
        await upload_in_parts(calls, video_id, path, options=PartOptions(parallel=1, backoff=0.01))
    assert caught.value.reason == "UPLOAD_CLOSED"

    await upload_in_parts(sessions(client), video_id, path)
    assert (await sessions(client).get(video_id)).generation == 2


async def test_refused_calls_are_repeated(client: AsyncClient, store: S3ObjectStore, tmp_path: Path) -> None:
    path, retries = film(tmp_path / "film.mp4", 2 * PART), list[str]()
    video_id = await created(client, path)
    errors: list[GoStreamError] = [
        GoStreamError("too many calls", reason="RATE_LIMITED"),
        UnreachableError("the server is stopping"),
    ]

    class Busy(LateUrls):
        async def sign(self, video_id: str, generation: int, parts: Any) -> Any:
            if errors:
                raise errors.pop()
            return await self._calls.sign(video_id, generation, parts)

    calls: Any = Busy(sessions(client))
    await upload_in_parts(calls, video_id, path, options=QUICK, reports=Reports(on_retry=retries.append))

    assert len(retries) == 2
    assert await stored(store, video_id) == sha256(path)


async def test_completed_upload_is_completed_again(
    client: AsyncClient, proxy: Proxy, database: PostgresDatabase, tmp_path: Path
) -> None:
    path = film(tmp_path / "film.mp4", PART)
    video_id = await created(client, path)
    await upload_in_parts(sessions(client), video_id, path)
    before = proxy.to_server.passed

    video = await upload_in_parts(sessions(client), video_id, path, process=ProcessOptions())

    assert video.status == Video.STATUS_PROCESSING
    assert proxy.to_server.passed == before


async def send_parts(client: AsyncClient, video_id: str, path: Path, numbers: list[int]) -> None:
    """Sends some parts, as an interrupted client has."""
    session = await sessions(client).create(video_id, size_of(path))
    parts = FileParts(path, session)
    for number in numbers:
        part = await parts.read(number)
        [signed] = await sessions(client).sign(video_id, session.generation, [(number, part.md5)])
        await put_part(signed, part.body, on_sent=lambda sent: None, stall=60)
