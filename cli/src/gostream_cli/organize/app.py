"""The names, options and help of ls, update, rm and undelete."""

from typing import Annotated

import typer

from gostream_cli.options import (
    DEFAULT_SERVER,
    POLICY,
    Etag,
    Json,
    Kind,
    Labels,
    Server,
    Status,
    Timeout,
    VideoId,
    expiry,
    moment,
    pairs,
)

Deleted = Annotated[bool, typer.Option("--deleted", help="Also deleted videos that undelete restores.")]


def list_videos(
    user: Annotated[str, typer.Option(help="Only videos of this owner.")] = "",
    status: Status = "",
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY[=VALUE]", help="Only videos with this label; may be repeated."),
    ] = None,
    title: Annotated[str, typer.Option(help="Only videos whose title has these words.")] = "",
    external_id: Annotated[str, typer.Option(help="Only the video with this id of yours.")] = "",
    created_after: Annotated[
        str, typer.Option(metavar="TIME", help="Only videos created at this time or later.")
    ] = "",
    created_before: Annotated[
        str, typer.Option(metavar="TIME", help="Only videos created before this time.")
    ] = "",
    deleted: Deleted = False,
    kind: Kind = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of videos.")] = 50,
    page_token: Annotated[str, typer.Option(help="Continue an earlier listing.")] = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """List videos, newest first. All filters must match. Times without a zone are UTC."""
    after = moment(created_after, "--created-after")
    before = moment(created_before, "--created-before")
    from gostream_cli import output, runner
    from gostream_cli.organize import commands

    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.list_videos(
            client,
            out,
            limit=limit,
            page_token=page_token,
            user_id=user,
            status=status,
            external_id=external_id,
            labels=label or [],
            title=title,
            created_after=after,
            created_before=before,
            show_deleted=deleted,
            media_kind=kind,
        ),
    )


def update(
    video_id: VideoId,
    title: Annotated[str | None, typer.Option(help="The new title.")] = None,
    label: Labels = None,
    remove_label: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A label to remove; may be repeated.")
    ] = None,
    external_id: Annotated[
        str | None, typer.Option(help="Your own id of the video; an empty one removes it.")
    ] = None,
    expire_time: Annotated[
        str, typer.Option(metavar="TIME|never", help="When the video is deleted; UTC unless it names a zone.")
    ] = "",
    policy: Annotated[str, POLICY] = "",
    etag: Etag = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Change the fields of a video that are given; other labels stay."""
    labels, removed, until = pairs(label), remove_label or [], expiry(expire_time, "--expire-time")
    if both := sorted(labels.keys() & set(removed)):
        raise typer.BadParameter(f"--label and --remove-label both name {both[0]!r}")
    if title is None and external_id is None and not (labels or removed or until or policy):
        raise typer.BadParameter("nothing to change: give at least one option, such as --title")
    from gostream_cli import output, runner
    from gostream_cli.organize import commands

    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.update(
            client,
            out,
            video_id,
            labels=labels,
            removed=removed,
            etag=etag,
            title=title,
            external_id=external_id,
            expire_time=until,
            policy=policy,
        ),
    )


def remove(
    video_id: VideoId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    permanent: Annotated[
        bool, typer.Option("--permanent", help="So that undelete cannot restore the video.")
    ] = False,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Delete a video; for a while, undelete restores it."""
    from gostream_cli import output, runner
    from gostream_cli.organize import commands

    out = output.Output(as_json=json)
    if not yes:
        with runner.ending(out):
            commands.confirm_removal(video_id, permanent=permanent)
    runner.call(
        server, out, timeout, lambda client: commands.remove(client, out, video_id, permanent=permanent)
    )


def undelete(
    video_id: VideoId,
    etag: Etag = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Restore a deleted video while the server keeps it."""
    from gostream_cli import output, runner
    from gostream_cli.organize import commands

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.undelete(client, out, video_id, etag=etag))
