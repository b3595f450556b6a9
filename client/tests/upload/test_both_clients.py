"""upload() of both clients, from the file to the confirmation."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gostream_client import AsyncClient, Client, InvalidInputError, UploadError, UploadEvents, Video
from tests.support.fake_server import VIDEO_ID, ApiServer, Store, s3_error

Upload = Callable[..., Awaitable[Video]]
CONTENT = b"film" * 1_000_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["asyncio", "blocking", "blocking in a loop"])
def upload(request: pytest.FixtureRequest, server: ApiServer) -> Upload:
    """upload() of a client of the scripted server."""

    def blocking(*arguments: Any, **options: Any) -> Video:
        with Client(server.address, timeout=60) as client:
            return client.upload(*arguments, **options)

    async def in_a_loop(*arguments: Any, **options: Any) -> Video:
        return blocking(*arguments, **options)

    async def upload(*arguments: Any, **options: Any) -> Video:
        if request.param == "blocking":
            return await asyncio.to_thread(blocking, *arguments, **options)
        if request.param == "blocking in a loop":  # as in a notebook
            return await asyncio.to_thread(lambda: asyncio.run(in_a_loop(*arguments, **options)))
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(AsyncClient(server.address, timeout=60))
            return await client.upload(*arguments, **options)

    return upload


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "My film.mp4"
    path.write_bytes(CONTENT)
    return path


async def test_file_arrives_with_derived_title(
    upload: Upload, server: ApiServer, store: Store, film: Path
) -> None:
    seen: list[object] = []
    events = UploadEvents(on_created=lambda video: seen.append(video.id), on_sent=seen.append)

    more = {"labels": {"course": "42"}, "external_id": "lesson-17"}
    video = await upload(str(film), user_id="ann", policy="signed", events=events, **more)

    [request] = server.api.requests
    assert (request.title, request.content_type, request.size_bytes) == ("My film", "video/mp4", 4_000_000)
    assert (request.user_id, request.playback_policy) == ("ann", 2)
    assert {"labels": dict(request.labels), "external_id": request.external_id} == more
    assert store.sha256 == SHA256
    assert video.id == VIDEO_ID
    assert (seen[:2], seen[-1]) == ([VIDEO_ID, 0], 4_000_000)


async def test_expired_url_is_replaced(upload: Upload, server: ApiServer, store: Store, film: Path) -> None:
    server.api.upload = store.upload(expires_in=-1)
    store.answers.append(s3_error(403, "AccessDenied", "Request has expired"))

    def renew(why: str) -> None:
        server.api.upload = store.upload()

    await upload(film, events=UploadEvents(on_retry=renew))

    first, second = server.api.requests
    assert first == second
    assert store.puts == 2
    assert store.sha256 == SHA256


async def test_url_that_stays_expired_fails(
    upload: Upload, server: ApiServer, store: Store, film: Path
) -> None:
    server.api.upload = store.upload(expires_in=-1)
    store.answers.extend([s3_error(403, "AccessDenied", "Request has expired")] * 5)

    with pytest.raises(UploadError, match="expired"):
        await upload(film)
    assert store.puts == 2


async def test_unreadable_file_creates_no_video(upload: Upload, server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        await upload(tmp_path / "missing.mp4")
    assert server.api.requests == []
