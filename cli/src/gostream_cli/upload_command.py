"""The upload command."""

import asyncio
import shlex
from dataclasses import dataclass
from pathlib import Path

from gostream.v1 import video_pb2
from gostream_cli.commands import to_the_end
from gostream_cli.output import Output
from gostream_cli.progress import upload_progress
from gostream_client import AsyncClient, GoStreamError, SourceFile, UploadEvents
from gostream_client.upload.parts import MULTIPART_ABOVE
from gostream_client.watch import raise_if_failed


@dataclass(frozen=True, slots=True)
class NewVideo:
    """The options of the video to create."""

    title: str | None = None
    user_id: str = ""
    content_type: str | None = None
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """The options of the upload and of what follows it."""

    process_it: bool = True
    profile: str = ""
    follow_it: bool = False
    parallel: int = 4


async def upload(
    client: AsyncClient, out: Output, path: Path, new: NewVideo, steps: Steps, *, resume: str = ""
) -> None:
    """Create a video, upload its source to the object store, start and follow its processing.

    `resume` is the id of a video whose upload continues. Prints how to continue an upload in parts.
    """
    source = SourceFile(path)
    video_id = resume

    def created(video: video_pb2.Video) -> None:
        nonlocal video_id
        video_id = video.id
        out.note(f"created {video_id}")

    try:
        with upload_progress(out.stderr, source.size) as show:
            video = await client.upload(
                source,
                title=new.title,
                user_id=new.user_id,
                content_type=new.content_type,
                policy=new.policy,
                process=steps.process_it,
                profile=steps.profile,
                parallel=steps.parallel,
                resume=resume,
                events=UploadEvents(on_created=created, on_sent=show, on_retry=out.note),
            )
    except (asyncio.CancelledError, GoStreamError):
        if video_id and (resume or source.size > MULTIPART_ABOVE):
            out.note(f"continue with: gostream upload --resume {video_id} {shlex.quote(source.name)}")
        raise
    out.note(f"uploaded {source.size} bytes")
    if steps.follow_it and video.status != video_pb2.Video.STATUS_PENDING_UPLOAD:
        await to_the_end(client, out, video)
    else:
        out.video(video if steps.process_it else await client.get_video(video.id))
        raise_if_failed(video)
