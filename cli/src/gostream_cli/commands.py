"""The commands, given a client and an output. app.py has their options."""

import asyncio
from contextlib import aclosing, nullcontext, suppress
from datetime import timedelta

from gostream.v1 import video_pb2
from gostream_cli.output import Output
from gostream_cli.progress import processing_progress
from gostream_client import AsyncClient, EncodeOptions, GoStreamError, policy_name
from gostream_client.watch import raise_if_failed

#: Seconds that `get` waits for the optional progress.
PROGRESS_SECONDS = 2.0


async def get(client: AsyncClient, out: Output, video_id: str, *, min_version: int) -> None:
    reply = await client.get_video_reply(video_id, min_version=min_version)
    video = reply.video
    if video.status == video_pb2.Video.STATUS_PROCESSING and not out.as_json:
        video = await _with_progress(client, video)
    out.video(video)
    out.note(f"x-cache: {reply.x_cache or '-'}, request id: {reply.request_id or '-'}")


async def _with_progress(client: AsyncClient, video: video_pb2.Video) -> video_pb2.Video:
    """Returns the video with its progress from WatchVideo, or `video` if that fails."""
    with suppress(GoStreamError, StopAsyncIteration, TimeoutError):
        async with asyncio.timeout(PROGRESS_SECONDS), aclosing(client.watch(video.id)) as states:
            return await anext(states)
    return video


async def watch(client: AsyncClient, out: Output, video_id: str) -> None:
    await to_the_end(client, out, video_pb2.Video(id=video_id))


async def process(
    client: AsyncClient,
    out: Output,
    video_id: str,
    *,
    profile: str,
    options: EncodeOptions | None = None,
    follow_it: bool,
) -> None:
    video = await client.trigger_process(video_id, profile=profile, options=options)
    await finish(client, out, video, follow_it=follow_it)


async def cancel(client: AsyncClient, out: Output, video_id: str) -> None:
    out.video(await client.cancel_process(video_id))


async def playback(client: AsyncClient, out: Output, video_id: str, *, minutes: int | None) -> None:
    ttl = None if minutes is None else timedelta(minutes=minutes)
    info = await client.get_playback_info(video_id, ttl=ttl)
    out.playback(info)
    if not (info.playback_url or info.playable_url):
        raise GoStreamError("the video cannot be played: nothing is published, or its policy is off")


async def revoke(client: AsyncClient, out: Output, video_id: str) -> None:
    video = await client.revoke_playback(video_id)
    out.video(video)
    if policy_name(video) != "signed":
        out.note("the policy is not signed: there are no URLs to revoke")


async def finish(client: AsyncClient, out: Output, video: video_pb2.Video, *, follow_it: bool) -> None:
    """Show the video, or its states to the end. Raises ProcessingFailedError if it failed."""
    if follow_it:
        await to_the_end(client, out, video)
    else:
        out.video(video)
        raise_if_failed(video)


async def to_the_end(client: AsyncClient, out: Output, video: video_pb2.Video) -> None:
    """Show the states of `video` from its version on. Raises ProcessingFailedError if it failed."""
    with processing_progress(out.stderr) if not out.as_json else nullcontext(out.document) as show:
        async with aclosing(client.watch(video.id, min_version=video.version)) as states:
            async for video in states:
                show(video)
    if not out.as_json:  # the last state was the last line
        out.video(video)
    raise_if_failed(video)
