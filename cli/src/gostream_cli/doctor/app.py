"""The names, options and help of the doctor command."""

from typing import Annotated

import typer

from gostream_cli.options import DEFAULT_SERVER, Json, Server, Timeout

DEFAULT_ADMIN = "localhost:50061"


def doctor(
    video_id: Annotated[str, typer.Argument(metavar="[ID]", help="A video to explain.")] = "",
    admin: Annotated[
        str,
        typer.Option(
            envvar="GOSTREAM_ADMIN_ADDR",
            metavar="HOST:PORT",
            help="Admin port of the API, to explain a video.",
        ),
    ] = DEFAULT_ADMIN,
    server: Server = DEFAULT_SERVER,
    reads: Annotated[
        str,
        typer.Option(envvar="GOSTREAM_READ_ADDR", metavar="HOST:PORT", help="Read door to check."),
    ] = "",
    edge: Annotated[
        str, typer.Option(envvar="GOSTREAM_HTTP_URL", metavar="URL", help="JSON edge to check.")
    ] = "",
    origin: Annotated[
        str,
        typer.Option(
            metavar="ORIGIN", help="Web page that calls the JSON edge, for example https://x.example."
        ),
    ] = "",
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Explain why a video is in its state; without ID, check that a deployment works from this machine.

    Exits with 1 if something needs help. Without ID it creates a small video and deletes it for good.
    """
    from gostream_cli import output, runner
    from gostream_cli.doctor import commands

    out = output.Output(as_json=json)
    if video_id:
        runner.call(admin, out, timeout, lambda client: commands.explain(client, out, video_id, admin=admin))
        return
    places = commands.Places(server=server, reads=reads, edge=edge, origin=origin)
    runner.run(out, lambda: commands.examine(out, places, timeout=timeout))
