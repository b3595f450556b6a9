"""The upload and import commands, given a client and an output. app.py has their options."""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gostream.v1 import video_pb2
from gostream_cli.captions.commands import readable, send
from gostream_cli.captions.specs import Caption
from gostream_cli.commands import finish
from gostream_cli.output import Output
from gostream_cli.progress import upload_progress
from gostream_client import (
    AsyncClient,
    EncodeOptions,
    GoStreamError,
    InvalidInputError,
    SourceFile,
    UploadEvents,
)
from gostream_client.text import printable
from gostream_client.upload.parts import MULTIPART_ABOVE
from gostream_client.upload.title import derived_title


@dataclass(frozen=True, slots=True)
class NewVideo:
    """The options of the video to create."""

    title: str | None = None
    user_id: str = ""
    content_type: str | None = None
    policy: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """The options of the upload and of the next steps."""

    process_it: bool = True
    profile: str = ""
    follow_it: bool = False
    parallel: int = 4
    options: EncodeOptions | None = None


async def upload(
    client: AsyncClient,
    out: Output,
    path: Path,
    new: NewVideo,
    steps: Steps,
    *,
    resume: str = "",
    captions: Sequence[Caption] = (),
) -> None:
    """Create a video, upload its source to the object store, start and follow its processing.

    `resume` is the id of a video whose upload continues. Prints how to continue an upload in parts. The
    files of `captions` are checked before, and added after the upload.
    """
    source, files = SourceFile(path), readable(captions)
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
                labels=new.labels,
                external_id=new.external_id,
                process=steps.process_it,
                profile=steps.profile,
                options=steps.options,
                parallel=steps.parallel,
                resume=resume,
                events=UploadEvents(on_created=created, on_sent=show, on_retry=out.note),
            )
    except (asyncio.CancelledError, GoStreamError):
        if video_id and (resume or source.size > MULTIPART_ABOVE):
            out.note(f"continue with: gostream upload --resume {video_id} {shlex.quote(source.name)}")
        raise
    out.note(f"uploaded {source.size} bytes")
    await send(client, video.id, captions, files, told=out.note)
    if not steps.process_it:
        video = await client.get_video(video.id)
    is_pending = video.status == video_pb2.Video.STATUS_PENDING_UPLOAD
    await finish(client, out, video, follow_it=steps.follow_it and not is_pending)


async def import_source(
    client: AsyncClient,
    out: Output,
    new: NewVideo,
    *,
    url: str = "",
    key: str = "",
    profile: str = "",
    options: EncodeOptions | None = None,
    follow_it: bool = True,
) -> None:
    """Create a video whose source the server fetches from a URL, or reads at a key, and follow it."""
    created = await client.create_video(
        title=_title(url, key) if new.title is None else new.title,
        user_id=new.user_id,
        policy=new.policy,
        labels=new.labels,
        external_id=new.external_id,
        source_url=url,
        source_key=key,
        profile=profile,
        options=options,
    )
    out.note(f"created {created.video.id}")
    await finish(client, out, created.video, follow_it=follow_it)


def _title(url: str, key: str) -> str:
    """Returns a title from the last part of a path. Raises InvalidInputError if `url` is not a URL."""
    try:
        return derived_title(Path(key or unquote(urlsplit(url).path)))
    except ValueError:
        raise InvalidInputError(f"{printable(url)} is not a URL") from None
