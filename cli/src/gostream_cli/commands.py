"""The commands, given a client and an output. app.py has their options."""

import asyncio
import sys
from contextlib import aclosing, nullcontext, suppress
from datetime import timedelta

import grpc
import typer

from gostream.v1 import video_pb2
from gostream_cli.output import Output
from gostream_cli.progress import processing_progress
from gostream_client.client import Client
from gostream_client.errors import ClientError, InvalidInputError
from gostream_client.playback import policy_name
from gostream_client.text import status_name
from gostream_client.watch import follow

#: Seconds that `get` waits for the optional progress.
PROGRESS_SECONDS = 2.0


async def get(client: Client, out: Output, video_id: str, *, min_version: int) -> None:
    reply = await client.get(video_id, min_version=min_version)
    video = reply.video
    if video.status == video_pb2.Video.STATUS_PROCESSING and not out.as_json:
        video = await _with_progress(client, video)
    out.video(video)
    out.note(f"x-cache: {reply.x_cache or '-'}, request id: {reply.request_id or '-'}")


async def _with_progress(client: Client, video: video_pb2.Video) -> video_pb2.Video:
    """Returns the video with its progress from WatchVideo, or `video` if that fails."""
    with suppress(grpc.aio.AioRpcError, StopAsyncIteration, TimeoutError):
        async with asyncio.timeout(PROGRESS_SECONDS), aclosing(client.watch(video.id)) as states:
            return await anext(states)
    return video


async def list_videos(
    client: Client,
    out: Output,
    *,
    user_id: str,
    status: str,
    limit: int,
    page_token: str,
) -> None:
    """List videos. `status` is empty or one of STATUSES."""
    name = status.upper().replace("-", "_") or "UNSPECIFIED"
    wanted = video_pb2.Video.Status.Value(f"STATUS_{name}")
    found = await client.list(user_id=user_id, status=wanted, limit=limit, page_token=page_token)
    if out.as_json:
        out.document(found)
        return
    out.videos(found.videos)
    if not found.videos:
        out.note("no videos")
    if found.next_page_token:
        out.note(f"more: --page-token {found.next_page_token}")


async def watch(client: Client, out: Output, video_id: str) -> None:
    await to_the_end(client, out, video_pb2.Video(id=video_id))


async def process(client: Client, out: Output, video_id: str, *, profile: str, follow_it: bool) -> None:
    video = await client.process(video_id, profile=profile)
    if follow_it:
        await to_the_end(client, out, video)
    else:
        out.video(video)
        fail_unless_fine(video)


async def cancel(client: Client, out: Output, video_id: str) -> None:
    out.video(await client.cancel(video_id))


async def update(client: Client, out: Output, video_id: str, *, policy: str) -> None:
    out.video(await client.update(video_id, policy=policy))


async def playback(client: Client, out: Output, video_id: str, *, minutes: int | None) -> None:
    ttl = None if minutes is None else timedelta(minutes=minutes)
    info = await client.playback(video_id, ttl=ttl)
    out.playback(info)
    if not (info.playback_url or info.playable_url):
        raise ClientError("the video cannot be played: nothing is published, or its policy is off")


async def revoke(client: Client, out: Output, video_id: str) -> None:
    video = await client.revoke(video_id)
    out.video(video)
    if policy_name(video) != "signed":
        out.note("the policy is not signed: there are no URLs to revoke")


async def remove(client: Client, out: Output, video_id: str) -> None:
    await client.delete(video_id)
    if out.as_json:
        out.plain("{}")  # google.protobuf.Empty, as the JSON edge writes it
    else:
        out.note(f"deleted {video_id}")


def confirm_removal(video_id: str) -> None:
    """Ask for confirmation. Raises InvalidInputError if the answer is no or stdin is not a terminal."""
    if sys.stdin is None or not sys.stdin.isatty():  # None: closed
        raise InvalidInputError("rm needs --yes if stdin is not a terminal")
    if not typer.confirm(f"Delete {video_id} and its published files?", err=True):
        raise InvalidInputError("nothing was deleted")


async def to_the_end(client: Client, out: Output, video: video_pb2.Video) -> None:
    """Show the states of `video` from its version on. Raises ClientError if the last one is not READY."""
    with processing_progress(out.stderr) if not out.as_json else nullcontext(out.document) as show:
        async with aclosing(follow(client, video.id, min_version=video.version)) as states:
            async for video in states:
                show(video)
    if not out.as_json:  # the last state was the last line
        out.video(video)
    fail_unless_fine(video)


def fail_unless_fine(video: video_pb2.Video) -> None:
    """Raise ClientError if processing failed or was cancelled."""
    if video.status == video_pb2.Video.STATUS_FAILED:
        again = "a retry may succeed" if video.error.retryable else "a retry will not help"
        message = video.error.message.rstrip(".") or "processing failed"
        raise ClientError(f"{message}; {again}", reason=video.error.code)
    if video.status == video_pb2.Video.STATUS_CANCELLED:
        raise ClientError("processing was cancelled", reason=status_name(video))
