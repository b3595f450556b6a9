"""Runs the demonstration: starts a stack, runs the steps, and removes everything."""

import asyncio
import shutil
import signal
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from gostream_devstack.demo.picture import take_picture
from gostream_devstack.demo.sample import sample_clip
from gostream_devstack.demo.steps import Demo, where_to_go_on
from gostream_devstack.errors import StackError
from gostream_devstack.host import orphans
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.issuer import TokenIssuer
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.screen import Screen
from gostream_devstack.host.state import State, locked
from gostream_devstack.instance.stack import USUAL_PORTS, Options, Stack
from gostream_devstack.instance.up import start_somewhere

OPTIONS = Options(api_replicas=2, workers=1)
#: Longer than any encode of the demonstration.
TOKEN_LIFETIME = timedelta(hours=12)


def run_demo(root: Path, video: Path | None) -> None:
    """Shows one video's way through the system, with servers below `root` that end with it.

    Raises StackError if a server does not start or a step fails.
    """
    if video is not None and not video.is_file():
        raise StackError(f"no such file: {video}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    directories = Directories.at(root)
    with locked(root), ExitStack() as stack:
        stack.callback(_remove, directories, root)
        orphans.reap(directories.servers)
        issuer = TokenIssuer.temporary()
        servers = _start(directories, issuer, console, stack)
        source = video or stack.enter_context(sample_clip(root, console))
        alice, bob = (
            issuer.token(name, "videos:read,videos:write", TOKEN_LIFETIME) for name in ("alice", "bob")
        )
        asyncio.run(Demo(servers.env, console, alice=alice, bob=bob).run(source))
        picture = root.with_name(f"{root.name}-console.png")
        console.print(f"\n{take_picture(servers.env['GOSTREAM_CONSOLE_URL'], alice, picture)}", markup=False)
        where_to_go_on(servers.env, console)
        console.print("\nStopping the servers …")


def _start(directories: Directories, issuer: TokenIssuer, console: Console, stack: ExitStack) -> Stack:
    console.print("[bold]Starting every real server, two API replicas that require tokens, and a worker[/]")
    screen = Screen(console)
    state, ports, options = State(), Ports({}, screen.say), replace(OPTIONS, issuer=issuer)
    with screen:
        servers = start_somewhere(
            lambda: Stack(directories, state, ports, options, USUAL_PORTS), ports, screen.report, screen.say
        )
    stack.callback(servers.stop)
    return servers


def _remove(directories: Directories, root: Path) -> None:
    directories.remove()
    shutil.rmtree(root)
