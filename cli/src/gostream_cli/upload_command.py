"""The upload command."""

import asyncio
import mimetypes
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gostream.v1 import video_pb2, video_service_pb2
from gostream_cli.commands import fail_unless_fine, process, to_the_end
from gostream_cli.output import Output
from gostream_cli.progress import upload_progress
from gostream_cli.title import derived_title
from gostream_client.client import Client
from gostream_client.errors import ClientError
from gostream_client.multipart.upload import MULTIPART_ABOVE, PartOptions, Reports, upload_in_parts
from gostream_client.upload import SourceFile, put


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
    client: Client, out: Output, path: Path, new: NewVideo, steps: Steps, *, resume: str = ""
) -> None:
    """Create a video, upload its source to the object store, start and follow its processing.

    Files above MULTIPART_ABOVE are sent in parts. `resume` is the id of a video whose upload continues.
    """
    source = SourceFile(path)
    if resume:
        await _in_parts(client, out, source, resume, steps)
        return
    created = await client.create(
        title=derived_title(path) if new.title is None else new.title,
        user_id=new.user_id,
        content_type=new.content_type or _content_type(path),
        size_bytes=source.size,
        policy=new.policy,
    )
    video = created.video
    out.note(f"created {video.id}")
    if source.size > MULTIPART_ABOVE:
        try:
            await _in_parts(client, out, source, video.id, steps)
        except ClientError as error:
            if error.reason != "UNIMPLEMENTED":  # a server of an earlier release
                raise
        else:
            return
    with upload_progress(out.stderr, source.size) as show:
        await put(created.upload, source, on_sent=show, on_retry=out.note)
    out.note(f"uploaded {source.size} bytes")
    if steps.process_it:
        await process(client, out, video.id, profile=steps.profile, follow_it=steps.follow_it)
    else:
        out.video((await client.get(video.id)).video)


async def _in_parts(client: Client, out: Output, source: SourceFile, video_id: str, steps: Steps) -> None:
    """Upload in parts. The last part and the start of the processing are one call."""
    options = video_service_pb2.ProcessOptions(profile=steps.profile) if steps.process_it else None
    with _resumable(out, source, video_id), upload_progress(out.stderr, source.size) as show:
        video = await upload_in_parts(
            client.uploads,
            video_id,
            source.path,
            process=options,
            options=PartOptions(parallel=steps.parallel),
            reports=Reports(on_sent=show, on_retry=out.note),
        )
    out.note(f"uploaded {source.size} bytes")
    if steps.follow_it and video.status != video_pb2.Video.STATUS_PENDING_UPLOAD:
        await to_the_end(client, out, video)
    else:
        out.video(video)
        fail_unless_fine(video)


@contextmanager
def _resumable(out: Output, source: SourceFile, video_id: str) -> Iterator[None]:
    """Print how to continue if the block is interrupted or fails."""
    try:
        yield
    except (asyncio.CancelledError, ClientError) as error:
        if getattr(error, "reason", "") != "UNIMPLEMENTED":
            out.note(f"continue with: gostream upload --resume {video_id} {shlex.quote(source.name)}")
        raise


def _content_type(path: Path) -> str:
    guess = mimetypes.guess_type(path.name)[0] or ""
    return guess if guess.startswith("video/") else "application/octet-stream"
