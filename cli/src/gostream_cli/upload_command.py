"""The upload command."""

import mimetypes
from pathlib import Path

from gostream_cli.commands import process
from gostream_cli.output import Output
from gostream_cli.progress import upload_progress
from gostream_cli.title import derived_title
from gostream_client.client import Client
from gostream_client.upload import SourceFile, put


async def upload(
    client: Client,
    out: Output,
    path: Path,
    *,
    title: str | None,
    user_id: str,
    content_type: str | None,
    process_it: bool,
    profile: str,
    policy: str,
    follow_it: bool,
) -> None:
    """Create a video, upload its source to the object store, start and follow its processing."""
    source = SourceFile(path)
    created = await client.create(
        title=derived_title(path) if title is None else title,
        user_id=user_id,
        content_type=content_type or _content_type(path),
        size_bytes=source.size,
        policy=policy,
    )
    video = created.video
    out.note(f"created {video.id}")
    with upload_progress(out.stderr, source.size) as show:
        await put(created.upload, source, on_sent=show, on_retry=out.note)
    out.note(f"uploaded {source.size} bytes")
    if process_it:
        await process(client, out, video.id, profile=profile, follow_it=follow_it)
    else:
        out.video((await client.get(video.id)).video)


def _content_type(path: Path) -> str:
    guess = mimetypes.guess_type(path.name)[0] or ""
    return guess if guess.startswith("video/") else "application/octet-stream"
