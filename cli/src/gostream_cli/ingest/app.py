"""The names, options and help of upload and import."""

from pathlib import Path
from typing import Annotated

import typer

from gostream_cli.captions.app import Captions
from gostream_cli.captions.specs import parsed
from gostream_cli.options import (
    DEFAULT_SERVER,
    POLICY,
    Downloads,
    End,
    ExternalId,
    Json,
    Labels,
    Loudness,
    PosterAt,
    Profile,
    Server,
    Start,
    Timeout,
    User,
    encoding,
    pairs,
)

_RESUME_EXCLUDES = "--resume excludes --title, --user, --content-type, --policy, --label and --external-id"


def upload_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The video file.")],
    title: Annotated[str | None, typer.Option(help="Title; default: the file name.")] = None,
    user: User = "",
    content_type: Annotated[
        str | None, typer.Option(help="Media type; default: guessed from the file name.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the processing to its end.")] = False,
    process: Annotated[bool, typer.Option("--process/--no-process", help="Start processing at once.")] = True,
    profile: Profile = "",
    start: Start = "",
    end: End = "",
    poster_at: PosterAt = "",
    download: Downloads = None,
    loudness: Loudness = "",
    policy: Annotated[str, POLICY] = "",
    label: Labels = None,
    external_id: ExternalId = "",
    caption: Captions = None,
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Parts of the file sent at once.")] = 4,
    resume: Annotated[
        str, typer.Option(metavar="ID", help="Continue the upload of this video; the parts are compared.")
    ] = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Upload a video file and start its processing."""
    _exclude(watch and not process, "--watch and --no-process exclude each other")
    about = (title is not None, user, content_type is not None, policy, label, external_id)
    _exclude(bool(resume) and any(about), _RESUME_EXCLUDES)
    labels, captions = pairs(label), parsed(caption, "--caption")
    asked = encoding(start, end, poster_at, download, loudness)
    from gostream_cli import output, runner
    from gostream_cli.ingest import commands

    new = commands.NewVideo(title, user, content_type, policy, labels, external_id)
    steps = commands.Steps(process, profile, watch, parallel, asked)
    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.upload(client, out, file, new, steps, resume=resume, captions=captions),
    )


def _exclude(conflict: bool, why: str) -> None:
    if conflict:
        raise typer.BadParameter(why)


def import_source(
    url: Annotated[str, typer.Argument(metavar="URL", help="The https URL of the video file.")] = "",
    key: Annotated[str, typer.Option(help="An object of the server's bucket, instead of a URL.")] = "",
    title: Annotated[str | None, typer.Option(help="Title; default: the name in the URL or key.")] = None,
    user: User = "",
    watch: Annotated[
        bool, typer.Option("--watch/--no-watch", "-w", help="Follow the processing to its end.")
    ] = True,
    profile: Profile = "",
    start: Start = "",
    end: End = "",
    poster_at: PosterAt = "",
    download: Downloads = None,
    loudness: Loudness = "",
    policy: Annotated[str, POLICY] = "",
    label: Labels = None,
    external_id: ExternalId = "",
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Create a video from a URL and follow its processing."""
    _exclude(bool(url) == bool(key), "give either a URL or --key")
    labels = pairs(label)
    asked = encoding(start, end, poster_at, download, loudness)
    from gostream_cli import output, runner
    from gostream_cli.ingest import commands

    out = output.Output(as_json=json)
    new = commands.NewVideo(title, user, None, policy, labels, external_id)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.import_source(
            client,
            out,
            new,
            url=url,
            key=key,
            profile=profile,
            options=asked,
            follow_it=watch,
        ),
    )
