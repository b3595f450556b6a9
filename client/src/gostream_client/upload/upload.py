"""An upload from the first call to the confirmation of the store."""

import asyncio
from pathlib import Path
from typing import Protocol, TypeVar

from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import CreateVideoResponse
from gostream_client import calls
from gostream_client.errors import UrlExpiredError
from gostream_client.table import Call
from gostream_client.upload.events import UploadEvents
from gostream_client.upload.single import put
from gostream_client.upload.source import SourceFile

Answer = TypeVar("Answer")


class Ask(Protocol):
    """Executes a call."""

    async def __call__(self, call: Call[Answer], /) -> Answer: ...


async def upload(
    ask: Ask,
    file: str | Path | SourceFile,
    *,
    title: str | None,
    user_id: str,
    content_type: str | None,
    policy: str,
    events: UploadEvents,
) -> Video:
    """Creates a video and sends its source as the reply says. Returns the video."""
    source = file if isinstance(file, SourceFile) else await asyncio.to_thread(SourceFile, Path(file))
    create = calls.create_video(
        title=source.title if title is None else title,
        user_id=user_id,
        content_type=source.content_type if content_type is None else content_type,
        size_bytes=source.size,
        policy=policy,
    )
    created = await ask(create)
    events.on_created(created.video)
    try:
        await _send(created, source, events)
    except UrlExpiredError as error:
        # The same request_id: the same video, with a new URL.
        events.on_retry(str(error))
        await _send(await ask(create), source, events)
    return created.video


async def _send(created: CreateVideoResponse, source: SourceFile, events: UploadEvents) -> None:
    """Sends the source in the way that the server has chosen: one PUT is the only one so far."""
    await put(created.upload, source, on_sent=events.on_sent, on_retry=events.on_retry)
