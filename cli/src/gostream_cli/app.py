"""The command line: names, options and help of the commands; commands.py implements them.

The rooms `ingest` (upload, import), `organize` (ls, update, rm, undelete), `captions` (tracks), `events`
(events, webhooks) and `doctor` have the other commands.
Each command imports its implementation when it runs, because gRPC, protobuf and aiohttp take longer to import
than `--help` and completion take in all.
"""

import os
import sys
from io import TextIOWrapper
from typing import Annotated

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is imported, to hide its log lines

import typer

from gostream_cli.captions import app as captions
from gostream_cli.doctor import app as diagnosis
from gostream_cli.events import app as events
from gostream_cli.ingest import app as ingest
from gostream_cli.options import (
    DEFAULT_SERVER,
    CaFile,
    ClientCert,
    ClientKey,
    Downloads,
    End,
    Json,
    Loudness,
    PosterAt,
    Profile,
    Server,
    Start,
    Timeout,
    Token,
    TokenFile,
    UseTls,
    VideoId,
    WholeTimeout,
    encoding,
)
from gostream_cli.organize import app as organize

app = typer.Typer(
    name="gostream",
    help="Upload videos to GoStream, follow processing, inspect results.",
    epilog="Exit codes: 0 success, 1 failed, 2 usage error or declined, 4 unreachable, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich for its boxes would take a third of `--help`
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"gostream {version('gostream-cli')}")
        raise typer.Exit


@app.callback()
def _options(
    tls: UseTls = False,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    token: Token = "",
    token_file: TokenFile = None,
    allow_plaintext_token: Annotated[
        bool, typer.Option("--allow-plaintext-token", help="Send the token to other machines without TLS.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    if tls or ca_file or client_cert or client_key:
        from gostream_cli.runner import TLS
        from gostream_client import Tls

        TLS.set(Tls(ca_file, client_cert, client_key))
    if token or token_file:
        from gostream_cli.runner import ALLOW_PLAINTEXT_TOKEN, TOKEN

        TOKEN.set(token or token_file)
        ALLOW_PLAINTEXT_TOKEN.set(allow_plaintext_token)


app.command("upload")(ingest.upload_file)
app.command("import")(ingest.import_source)


@app.command()
def get(
    video_id: VideoId,
    min_version: Annotated[int, typer.Option(min=0, help="Return at least this version.")] = 0,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Show a video, and on stderr the cache layer of the reply."""
    from gostream_cli import commands, output, runner

    out = output.Output(as_json=json)
    runner.call(
        server, out, timeout, lambda client: commands.get(client, out, video_id, min_version=min_version)
    )


app.command("ls")(organize.list_videos)
app.add_typer(captions.app, name="tracks")


@app.command()
def watch(
    video_id: VideoId, server: Server = DEFAULT_SERVER, timeout: WholeTimeout = None, json: Json = False
) -> None:
    """Follow a video until it is ready, failed or cancelled."""
    from gostream_cli import commands, output, runner

    out = output.Output(as_json=json)
    runner.call(
        server, out, None, lambda client: runner.within(timeout, commands.watch(client, out, video_id))
    )


@app.command()
def process(
    video_id: VideoId,
    profile: Profile = "",
    start: Start = "",
    end: End = "",
    poster_at: PosterAt = "",
    download: Downloads = None,
    loudness: Loudness = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the processing to its end.")] = False,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Start processing an uploaded video, or encode it again."""
    asked = encoding(start, end, poster_at, download, loudness)
    from gostream_cli import commands, output, runner

    out = output.Output(as_json=json)
    runner.call(
        server,
        out,
        timeout,
        lambda client: commands.process(
            client,
            out,
            video_id,
            profile=profile,
            options=asked,
            follow_it=watch,
        ),
    )


@app.command()
def cancel(
    video_id: VideoId, server: Server = DEFAULT_SERVER, timeout: Timeout = None, json: Json = False
) -> None:
    """Cancel the processing of a video; an earlier publication stays."""
    from gostream_cli import commands, output, runner

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.cancel(client, out, video_id))


app.command()(organize.update)


@app.command()
def playback(
    video_id: VideoId,
    ttl: Annotated[
        int | None,
        typer.Option("--ttl", min=1, max=10_080, metavar="MINUTES", help="Validity of signed URLs."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Show the URLs that play a video, signed if its policy asks for it."""
    from gostream_cli import commands, output, runner

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.playback(client, out, video_id, minutes=ttl))


@app.command()
def revoke(
    video_id: VideoId, server: Server = DEFAULT_SERVER, timeout: Timeout = None, json: Json = False
) -> None:
    """End all signed URLs of a video within seconds."""
    from gostream_cli import commands, output, runner

    out = output.Output(as_json=json)
    runner.call(server, out, timeout, lambda client: commands.revoke(client, out, video_id))


app.command("rm")(organize.remove)
app.command()(organize.undelete)
app.command()(events.events)
app.add_typer(events.webhooks)
app.command()(diagnosis.doctor)


@app.command()
def verify(
    tree: Annotated[
        str, typer.Argument(metavar="URL|DIR", help="A master playlist's URL, or a directory with one.")
    ],
    decode: Annotated[bool, typer.Option("--decode", help="Also decode every variant with ffmpeg.")] = False,
    timeout: WholeTimeout = None,
    json: Json = False,
) -> None:
    """Check a published HLS tree against the rules players rely on."""
    from gostream_cli import output, runner
    from gostream_cli import verify as verifying

    out = output.Output(as_json=json)
    runner.run(out, lambda: runner.within(timeout, verifying.verify(out, tree, decode_it=decode)))


def main() -> None:
    """The `gostream` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without Unicode still gets the full report
            stream.reconfigure(errors="backslashreplace")
    app()
