"""Tokens: on every call, from a file that changes, and never over a network in plaintext."""

import asyncio
import itertools
from pathlib import Path

import grpc
import pytest

from gostream.v1 import video_pb2
from gostream_client import (
    AsyncClient,
    InvalidInputError,
    PlaintextTokenError,
    Token,
    TokenInvalidError,
)
from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, processing, video

EXPIRED = Refusal(grpc.StatusCode.UNAUTHENTICATED, "the call needs a valid token", "TOKEN_INVALID")


async def call_all(client: AsyncClient, server: ApiServer) -> None:
    server.api.streams.append([video(video_pb2.Video.STATUS_READY)])
    await client.create_video(title="x", user_id="", content_type="video/mp4", size_bytes=1)
    await client.get_video(VIDEO_ID)
    await client.list_videos_page()
    await client.trigger_process(VIDEO_ID)
    await client.cancel_process(VIDEO_ID)
    await client.delete_video(VIDEO_ID)
    await anext(client.watch(VIDEO_ID))


async def test_every_call_carries_the_token(server: ApiServer) -> None:
    async with AsyncClient(server.address, timeout=20, token="abc") as client:
        await call_all(client, server)

    assert server.api.tokens == ["Bearer abc"] * 7


async def test_calls_without_token_carry_none(server: ApiServer, client: AsyncClient) -> None:
    await call_all(client, server)

    assert set(server.api.tokens) == {None}


async def test_changed_token_file_is_read_again(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    async with AsyncClient(server.address, timeout=20, token=path) as client:
        await client.get_video(VIDEO_ID)
        (tmp_path / "new").write_text("second\n")
        (tmp_path / "new").replace(path)
        await client.get_video(VIDEO_ID)
        path.unlink()
        with pytest.raises(InvalidInputError, match="cannot be read"):
            await client.get_video(VIDEO_ID)

    assert server.api.tokens == ["Bearer first", "Bearer second"]


async def test_watch_goes_on_with_a_new_token(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    last = video(video_pb2.Video.STATUS_READY, 3)
    server.api.streams.extend([[processing(1), EXPIRED], [last]])
    async with AsyncClient(server.address, timeout=20, token=path) as client:
        seen = []
        async for each in client.watch(VIDEO_ID):
            seen.append(each)
            path.write_text("second")

    assert seen == [processing(1), last]
    assert server.api.tokens == ["Bearer first", "Bearer second"]


async def test_watch_ends_if_the_token_stays_invalid(server: ApiServer) -> None:
    server.api.streams.extend([[processing(1), EXPIRED], [EXPIRED], [EXPIRED]])
    async with AsyncClient(server.address, timeout=20, token="old") as client:
        with pytest.raises(TokenInvalidError, match="valid token"):
            [each async for each in client.watch(VIDEO_ID)]

    assert len(server.api.tokens) == 1


@pytest.mark.parametrize(
    "address", ["192.0.2.1:50051", "127.0.0.1:50051,192.0.2.1:50051", "[2001:db8::1]:50051"]
)
async def test_token_stays_off_the_network(address: str) -> None:
    with pytest.raises(PlaintextTokenError, match="plaintext"):
        async with AsyncClient(address, token="abc"):
            pass

    if "," not in address:
        async with AsyncClient(address, token="abc", allow_plaintext_token=True):
            pass


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:50051", "[::1]:50051"])
async def test_token_may_reach_loopback(address: str) -> None:
    async with AsyncClient(address, token="abc"):
        pass


@pytest.mark.parametrize("text", ["a b", "a\nb", "ä", "a" * 20_000])
async def test_text_that_is_no_token_is_refused(server: ApiServer, text: str) -> None:
    with pytest.raises(InvalidInputError, match="token"):
        await AsyncClient(server.address, token=text).open()
    async with AsyncClient(server.address, timeout=20, token=lambda: text) as client:
        with pytest.raises(InvalidInputError, match="token"):
            await client.get_video(VIDEO_ID)
    assert server.api.tokens == []


@pytest.mark.parametrize("kind", ["function", "coroutine function", "function of a coroutine"])
async def test_function_is_asked_again_after_a_rejection(server: ApiServer, kind: str) -> None:
    made: list[str] = []

    def new() -> str:
        made.append(f"token{len(made)}")
        return made[-1]

    async def slowly() -> str:
        await asyncio.sleep(0)
        return new()

    kinds: dict[str, Token] = {
        "function": new,
        "coroutine function": slowly,
        "function of a coroutine": lambda: slowly(),
    }
    async with AsyncClient(server.address, timeout=20, token=kinds[kind]) as client:
        await client.get_video(VIDEO_ID)
        await client.get_video(VIDEO_ID)
        server.api.refusals.append(EXPIRED)
        await client.trigger_process(VIDEO_ID)

    assert server.api.tokens == [f"Bearer token{n}" for n in (0, 0, 0, 1)]
    assert server.api.requests[2] == server.api.requests[3]


async def test_second_rejection_in_a_call_is_final(server: ApiServer) -> None:
    numbers = itertools.count()
    server.api.refusals.extend([EXPIRED, EXPIRED])
    async with AsyncClient(server.address, timeout=20, token=lambda: f"token{next(numbers)}") as client:
        with pytest.raises(TokenInvalidError):
            await client.get_video(VIDEO_ID)
        await client.get_video(VIDEO_ID)

    assert len(server.api.tokens) == 3


async def test_rejected_constant_is_not_sent_twice(server: ApiServer) -> None:
    server.api.refusals.append(EXPIRED)
    async with AsyncClient(server.address, timeout=20, token="old") as client:
        with pytest.raises(TokenInvalidError):
            await client.get_video(VIDEO_ID)

    assert server.api.tokens == ["Bearer old"]


async def test_concurrent_rejections_ask_once(server: ApiServer) -> None:
    numbers = itertools.count()
    server.api.refusals.extend([EXPIRED] * 20)
    async with AsyncClient(server.address, timeout=60, token=lambda: f"token{next(numbers)}") as client:
        await asyncio.gather(*(client.get_video(VIDEO_ID) for _ in range(20)))

    assert next(numbers) == 2


async def test_errors_of_the_function_reach_the_caller(server: ApiServer) -> None:
    def broken() -> str:
        raise LookupError("no vault")

    async with AsyncClient(server.address, timeout=20, token=broken) as client:
        with pytest.raises(LookupError, match="no vault"):
            await client.get_video(VIDEO_ID)
