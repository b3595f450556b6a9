"""An upload from the first call to the confirmation of the store, in one PUT or in parts."""

import asyncio
from pathlib import Path

from gostream.v1.video_pb2 import Track, Video
from gostream.v1.video_service_pb2 import CreateVideoResponse
from gostream_client import calls
from gostream_client.encoding import encode_options
from gostream_client.errors import GoStreamError, InvalidInputError, UrlExpiredError
from gostream_client.table import Call
from gostream_client.upload.events import UploadEvents
from gostream_client.upload.parts import MULTIPART_ABOVE, PartOptions, Reports, upload_in_parts
from gostream_client.upload.session_calls import Ask, UploadCalls
from gostream_client.upload.single import put
from gostream_client.upload.source import SourceFile
from gostream_client.upload.wishes import TrackWishes, Wishes

#: The largest file of subtitles that the server accepts.
MOST_TRACK_BYTES = 5 << 20


async def upload(ask: Ask, wishes: Wishes) -> Video:
    """Creates a video and sends its source. Returns the video."""
    file, events = wishes.file, wishes.events or UploadEvents()
    source = file if isinstance(file, SourceFile) else await asyncio.to_thread(SourceFile, Path(file))
    if wishes.resume:
        return await _in_parts(ask, source, wishes.resume, wishes, events)
    create = calls.create_video(
        title=source.title if wishes.title is None else wishes.title,
        user_id=wishes.user_id,
        content_type=source.content_type if wishes.content_type is None else wishes.content_type,
        size_bytes=source.size,
        policy=wishes.policy,
        labels=wishes.labels,
        external_id=wishes.external_id,
    )
    created = await ask(create)
    events.on_created(created.video)
    if source.size > MULTIPART_ABOVE:
        try:
            return await _in_parts(ask, source, created.video.id, wishes, events)
        except GoStreamError as error:
            if error.code != "UNIMPLEMENTED":  # a server of an earlier release
                raise
    await _by_one_put(ask, create, created, source, events)
    if wishes.process:
        return await ask(
            calls.trigger_process(created.video.id, profile=wishes.profile, options=wishes.options)
        )
    return created.video


async def upload_track(ask: Ask, wishes: TrackWishes) -> Track:
    """Adds subtitles to a video and sends their file. Returns the track."""
    file = wishes.file
    source = file if isinstance(file, SourceFile) else await asyncio.to_thread(SourceFile, Path(file))
    if source.size > MOST_TRACK_BYTES:
        raise InvalidInputError(f"{source.name} is larger than {MOST_TRACK_BYTES >> 20} MiB")
    added = await ask(
        calls.add_track(
            wishes.video_id,
            language=wishes.language,
            name=wishes.name,
            is_default=wishes.is_default,
            is_forced=wishes.is_forced,
            is_sdh=wishes.is_sdh,
            size_bytes=source.size,
        )
    )
    await put(added.upload, source, on_sent=lambda sent: None)
    return await ask(calls.prepare_track(wishes.video_id, added.track.id))


async def _in_parts(
    ask: Ask, source: SourceFile, video_id: str, wishes: Wishes, events: UploadEvents
) -> Video:
    """Sends the parts that the store does not have. The end and the start of an encode are one call."""
    return await upload_in_parts(
        UploadCalls(ask),
        video_id,
        source.path,
        process=encode_options(wishes.profile, wishes.options) if wishes.process else None,
        options=PartOptions(parallel=wishes.parallel),
        reports=Reports(on_sent=events.on_sent, on_retry=events.on_retry),
    )


async def _by_one_put(
    ask: Ask,
    create: Call[CreateVideoResponse],
    created: CreateVideoResponse,
    source: SourceFile,
    events: UploadEvents,
) -> None:
    try:
        await put(created.upload, source, on_sent=events.on_sent, on_retry=events.on_retry)
    except UrlExpiredError as error:
        # The same request_id: the same video, with a new URL.
        events.on_retry(str(error))
        again = await ask(create)
        await put(again.upload, source, on_sent=events.on_sent, on_retry=events.on_retry)
