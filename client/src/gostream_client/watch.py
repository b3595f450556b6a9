"""Follows a video until its processing ends, and reopens broken streams."""

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
MAX_FAILURES = 6  # consecutive, without a message in between
_TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})


async def follow(
    client: Client, video_id: str, *, min_version: int = 0, idle: float = 30.0, backoff: float = 0.25
) -> AsyncGenerator[video_pb2.Video, None]:
    """Yield every state of the video; ends after the first terminal state at or above `min_version`.

    Reopens a stream that breaks, ends early or is silent for `idle` seconds. The first message of a stream is
    the current state, so no final state is lost. Raises ClientError if the server refuses the call, or after
    MAX_FAILURES consecutive failures.
    """
    failures = 0
    last: video_pb2.Video | None = None
    while True:
        delivered = False
        try:
            async with aclosing(_messages(client, video_id, idle)) as stream:
                async for video in stream:
                    delivered = True
                    if video.version < min_version:
                        continue  # from a replica that does not have the caller's write yet
                    failures = 0
                    if video != last:
                        last = video
                        yield video
                    if video.status in TERMINAL:
                        return
            cause: ClientError = UnreachableError(f"{client.server} ended the stream before processing ended")
        except grpc.aio.AioRpcError as error:
            cause = client.failure(error)
            if error.code() is grpc.StatusCode.UNAUTHENTICATED and delivered:
                continue  # the token expired; its file may have a new one
            if error.code() not in _TRANSIENT:
                raise cause from None
        failures += 1
        if failures >= MAX_FAILURES:
            raise cause
        await asyncio.sleep(backoff * 2 ** (failures - 1) * random.uniform(0.5, 1.0))  # noqa: S311 – jitter


async def _messages(client: Client, video_id: str, idle: float) -> AsyncGenerator[video_pb2.Video, None]:
    """Yield the messages of one stream, until it ends or is silent for `idle` seconds."""
    async with aclosing(client.watch(video_id)) as stream:
        while True:
            try:
                async with asyncio.timeout(idle):
                    video = await anext(stream)
            except (StopAsyncIteration, TimeoutError):
                return
            yield video
