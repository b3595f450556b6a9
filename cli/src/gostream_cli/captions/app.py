"""The names, options and help of the commands below `tracks`."""

from typing import Annotated

import typer

from gostream_cli.captions.specs import METAVAR, parsed
from gostream_cli.options import DEFAULT_SERVER, Json, Server, Timeout, VideoId

app = typer.Typer(help="List, add and remove subtitles of videos.", no_args_is_help=True)

TrackId = Annotated[str, typer.Argument(metavar="TRACK", help="The id of the added track.")]
#: For upload.
Captions = Annotated[
    list[str] | None,
    typer.Option(
        "--caption",
        metavar=METAVAR,
        help="Subtitles, such as de=film.srt; marks: forced, sdh, default. May be repeated.",
    ),
]


@app.command("ls")
def list_tracks(
    video_id: VideoId, server: Server = DEFAULT_SERVER, timeout: Timeout = None, json: Json = False
) -> None:
    """List the sounds and subtitles of a video, also the ones that are being prepared."""
    from gostream_cli import output, runner
    from gostream_cli.captions import commands

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.list_tracks(client, out, video_id))


@app.command("add")
def add(
    video_id: VideoId,
    spec: Annotated[
        list[str],
        typer.Argument(
            metavar=METAVAR,
            help="A file of SubRip, WebVTT or ASS, or its https URL; marks: forced, sdh, default.",
        ),
    ],
    name: Annotated[str, typer.Option(help="The name of the track; default: its language.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until a published stream has the tracks.")
    ] = True,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Add subtitles to a video; a published one is not encoded again."""
    captions = parsed(spec, METAVAR)
    if name and len(captions) > 1:
        raise typer.BadParameter("--name is for one track; add the others by calls of their own")
    from gostream_cli import output, runner
    from gostream_cli.captions import commands

    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.add(client, out, video_id, captions, name=name, waits=wait),
    )


@app.command("rm")
def remove(
    video_id: VideoId,
    track_id: TrackId,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Remove an added track from a video."""
    from gostream_cli import output, runner
    from gostream_cli.captions import commands

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.remove(client, out, video_id, track_id))
