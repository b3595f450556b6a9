"""Following a video until its processing ends, over streams that may break."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc

from gostream.v1 import video_pb2
from gostream_client.client import Client
from gostream_client.errors import ClientError, UnreachableError

TERMINAL = frozenset(
    {video_pb2.Video.STATUS_READY, video_pb2.Video.STATUS_FAILED, video_pb2.Video.STATUS_CANCELLED}
)
MAX_FAILURES = 6  # in a row, without one message between
_TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})


async def follow(
    client: Client, video_id: str, *, min_version: int = 0, idle: float = 30.0, backoff: float = 0.25
) -> AsyncGenerator[video_pb2.Video, None]:
    """Every state of the video as it changes; ends with the first terminal one at or above `min_version`.

    A stream that breaks, ends early or is silent for `idle` seconds is opened again: its first message is
    the state as it is, so nothing is missed and silence is told from a server that is gone. Raises
    ClientError when the server refuses, or after MAX_FAILURES failures in a row.
    """
    failures = 0
    last: video_pb2.Video | None = None
    while True:
        try:
            async with aclosing(_messages(client, video_id, idle)) as stream:
                async for video in stream:
                    if video.version < min_version:
                        continue  # a replica that has not seen our write yet
                    failures = 0
                    if video != last:
                        last = video
                        yield video
                    if video.status in TERMINAL:
                        return
            cause: ClientError = UnreachableError(f"{client.server} ended the stream before processing ended")
        except grpc.aio.AioRpcError as error:
            cause = client.failure(error)
            if error.code() not in _TRANSIENT:
                raise cause from None
        failures += 1
        if failures >= MAX_FAILURES:
            raise cause
        await asyncio.sleep(backoff * 2 ** (failures - 1) * random.uniform(0.5, 1.0))  # noqa: S311 – jitter


async def _messages(client: Client, video_id: str, idle: float) -> AsyncGenerator[video_pb2.Video, None]:
    """The messages of one stream; ends when the server ends it or says nothing for `idle` seconds."""
    async with aclosing(client.watch(video_id)) as stream:
        while True:
            try:
                async with asyncio.timeout(idle):
                    video = await anext(stream)
            except (StopAsyncIteration, TimeoutError):
                return
            yield video
