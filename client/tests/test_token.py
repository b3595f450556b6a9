"""Tokens: on every call, from a file that changes, and never over a network in plaintext."""

from pathlib import Path

import grpc
import pytest

from gostream.v1 import video_pb2
from gostream_client.client import Client, connect
from gostream_client.errors import InvalidInputError, UnreachableError
from gostream_client.token import TokenSource
from gostream_client.watch import follow
from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, processing, video

EXPIRED = Refusal(grpc.StatusCode.UNAUTHENTICATED, "the call needs a valid token", "TOKEN_INVALID")


async def call_all(client: Client) -> None:
    await client.create(title="x", user_id="", content_type="video/mp4", size_bytes=1)
    await client.get(VIDEO_ID)
    await client.list(user_id="", status=video_pb2.Video.STATUS_UNSPECIFIED, limit=1, page_token="")
    await client.process(VIDEO_ID)
    await client.cancel(VIDEO_ID)
    await client.delete(VIDEO_ID)
    async for _ in client.watch(VIDEO_ID):
        pass


async def test_every_call_carries_the_token(server: ApiServer) -> None:
    async with connect(server.address, timeout=20, token=TokenSource("abc")) as client:
        await call_all(client)

    assert server.api.tokens == ["Bearer abc"] * 7


async def test_calls_without_token_carry_none(server: ApiServer, client: Client) -> None:
    await call_all(client)

    assert set(server.api.tokens) == {None}


async def test_changed_token_file_is_read_again(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    async with connect(server.address, timeout=20, token=TokenSource(file=path)) as client:
        await client.get(VIDEO_ID)
        (tmp_path / "new").write_text("second\n")
        (tmp_path / "new").replace(path)
        await client.get(VIDEO_ID)
        path.unlink()
        with pytest.raises(InvalidInputError, match="cannot be read"):
            await client.get(VIDEO_ID)

    assert server.api.tokens == ["Bearer first", "Bearer second"]


async def test_watch_goes_on_with_a_new_token(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    last = video(video_pb2.Video.STATUS_READY, 3)
    server.api.streams.extend([[processing(1), EXPIRED], [last]])
    async with connect(server.address, timeout=20, token=TokenSource(file=path)) as client:
        seen = []
        async for each in follow(client, VIDEO_ID):
            seen.append(each)
            path.write_text("second")

    assert seen == [processing(1), last]
    assert server.api.tokens == ["Bearer first", "Bearer second"]


async def test_watch_ends_if_the_token_stays_invalid(server: ApiServer) -> None:
    server.api.streams.extend([[processing(1), EXPIRED], [EXPIRED], [EXPIRED]])
    async with connect(server.address, timeout=20, token=TokenSource("old")) as client:
        with pytest.raises(UnreachableError, match="valid token"):
            [each async for each in follow(client, VIDEO_ID)]

    assert len(server.api.tokens) == 2


@pytest.mark.parametrize(
    "address", ["192.0.2.1:50051", "127.0.0.1:50051,192.0.2.1:50051", "[2001:db8::1]:50051"]
)
async def test_token_stays_off_the_network(address: str) -> None:
    with pytest.raises(InvalidInputError, match="plaintext"):
        async with connect(address, token=TokenSource("abc")):
            pass

    if "," not in address:
        async with connect(address, token=TokenSource("abc", allow_plaintext=True)):
            pass


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:50051", "[::1]:50051"])
async def test_token_may_reach_loopback(address: str) -> None:
    async with connect(address, token=TokenSource("abc")):
        pass


@pytest.mark.parametrize("text", ["a b", "a\nb", "ä", "a" * 20_000])
async def test_text_that_is_no_token_is_refused(client: Client, server: ApiServer, text: str) -> None:
    async with connect(server.address, token=TokenSource(text)) as other:
        with pytest.raises(InvalidInputError, match="token"):
            await other.get(VIDEO_ID)
