"""The upload command."""

from pathlib import Path

from gostream_cli.commands import process
from gostream_cli.output import Output
from gostream_cli.progress import upload_progress
from gostream_client import AsyncClient, SourceFile, UploadEvents


async def upload(
    client: AsyncClient,
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
    with upload_progress(out.stderr, source.size) as show:
        video = await client.upload(
            source,
            title=title,
            user_id=user_id,
            content_type=content_type,
            policy=policy,
            events=UploadEvents(
                on_created=lambda created: out.note(f"created {created.id}"), on_sent=show, on_retry=out.note
            ),
        )
    out.note(f"uploaded {source.size} bytes")
    if process_it:
        await process(client, out, video.id, profile=profile, follow_it=follow_it)
    else:
        out.video(await client.get_video(video.id))
