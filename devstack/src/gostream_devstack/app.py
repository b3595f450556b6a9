"""The command `gostream-devstack`."""

import json
import os
import shlex
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import REPOSITORY
from gostream_devstack.host.screen import Screen
from gostream_devstack.instance import logs as log_files
from gostream_devstack.instance import run_file
from gostream_devstack.instance import up as supervising
from gostream_devstack.instance.stack import OWN, Options, own_servers

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Runs every server that GoStream needs on loopback, without Docker or root.",
)
StateDir = Annotated[
    Path, typer.Option(help="Directory of ports, passwords, logs and data.", resolve_path=True)
]
#: Below this checkout, independent of the working directory.
STATE_DIR = REPOSITORY / ".devstack"


def _print(text: str) -> None:
    typer.echo(text)


@cli.command()
def up(
    detach: Annotated[bool, typer.Option(help="Return once every server is ready.")] = False,
    api_replicas: Annotated[int, typer.Option(min=1, max=16)] = 1,
    workers: Annotated[int, typer.Option(min=0, max=16)] = 1,
    auth: Annotated[
        bool, typer.Option("--auth", help="Require tokens; `gostream-devstack token` prints them.")
    ] = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="Use TLS everywhere, with certificates issued at the start.")
    ] = False,
    observe: Annotated[
        bool, typer.Option("--observe", help="Also Prometheus and Grafana, where they are installed.")
    ] = False,
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Start everything and keep it running until Ctrl-C.

    DATABASE_URL, REDIS_HOST or S3_ENDPOINT_URL in the environment: that server is used instead of the
    stack's.
    """
    if observe and tls:
        raise typer.BadParameter("metrics are scraped without TLS here", param_hint="--observe with --tls")
    if detach:
        counts = ["--api-replicas", str(api_replicas), "--workers", str(workers)]
        flags = {"--auth": auth, "--tls": tls, "--observe": observe}
        chosen = [name for name, is_on in flags.items() if is_on]
        supervising.detach(state_dir, [*counts, *chosen, "--state-dir", str(state_dir)], _print)
        return
    own = own_servers(os.environ)
    for name in OWN.keys() & own.keys():
        _print(f"using the server given by {name}")
    options = Options(api_replicas, workers, own, tls=tls, observe=observe)
    supervising.run_foreground(state_dir, options, Screen(Console()), auth=auth)


@cli.command()
def down(
    wipe: Annotated[bool, typer.Option(help="Delete data, ports and passwords too.")] = False,
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Stop everything. Data, ports and passwords stay for the next start."""
    _print("stopped" if supervising.down(state_dir) else f"nothing was running in {state_dir}")
    if wipe:
        supervising.wipe(state_dir)


@cli.command()
def status(as_json: Annotated[bool, typer.Option("--json")] = False, state_dir: StateDir = STATE_DIR) -> None:
    """Show the running processes. Exit code 1 if none run."""
    found = run_file.require(state_dir)
    if as_json:
        processes = [{**asdict(each), "alive": each.alive} for each in found.processes]
        _print(json.dumps({"supervisor": found.supervisor, "processes": processes}, indent=2))
        return
    table = Table("process", "state", "pid", "port", "log", box=None)
    for each in found.processes:
        table.add_row(each.name, "up" if each.alive else "down", str(each.pid), str(each.port), each.log)
    Console(soft_wrap=True).print(table)


@cli.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="One process; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 50,
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Show the logs."""
    log_files.show(log_files.choose(state_dir, name), lines, follow, _print)


@cli.command()
def env(
    as_json: Annotated[bool, typer.Option("--json")] = False,
    export: Annotated[bool, typer.Option("--export", help='For `eval "$(…)"`.')] = False,
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Print the addresses and keys that clients need, as KEY=VALUE lines."""
    variables = run_file.require(state_dir).env
    if as_json:
        _print(json.dumps(variables, indent=2))
        return
    for key, value in variables.items():
        _print(f"export {key}={shlex.quote(value)}" if export else f"{key}={value}")


@cli.command()
def token(
    sub: Annotated[str, typer.Option(help="The subject: who calls.")],
    scope: Annotated[str, typer.Option(help="Scopes, separated by commas.")] = "videos:read,videos:write",
    ttl: Annotated[str, typer.Option(help="Validity, such as 90s, 5m or 1h.")] = "1h",
    state_dir: StateDir = STATE_DIR,
) -> None:
    """Print a token for the API of an instance that was started with `up --auth`."""
    from gostream_devstack.host.issuer import TokenIssuer
    from gostream_shared.config_types import parse_duration

    try:
        lifetime = parse_duration(ttl)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--ttl") from None
    run_file.require(state_dir)
    _print(TokenIssuer.of(state_dir).token(sub, scope, cast("timedelta", lifetime)))


@cli.command()
def demo(
    video: Annotated[
        Path | None, typer.Option(help="Your own video; default: a generated sample.", resolve_path=True)
    ] = None,
    state_dir: StateDir = STATE_DIR / "demo",
) -> None:
    """Demonstrate one video from file to stream, on separate servers, and stop them."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is imported, to hide its log lines
    from gostream_devstack.demo.run import run_demo

    run_demo(state_dir, video)


def main() -> None:
    """Runs a command. A StackError ends it with a message and exit code 1, without a traceback."""
    try:
        cli()
    except StackError as error:
        typer.secho(f"gostream-devstack: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
