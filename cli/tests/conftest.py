import asyncio
import io
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from client.tests.conftest import client as client
from client.tests.conftest import server as server
from client.tests.conftest import store as store
from gostream_cli.output import Output


@dataclass
class Captured:
    """An Output and its text."""

    out: Output
    stdout: io.StringIO
    stderr: io.StringIO


def capture(*, as_json: bool = False, terminal: bool = False) -> Captured:
    stdout, stderr = io.StringIO(), io.StringIO()
    consoles = [
        Console(file=file, force_terminal=terminal, width=100, soft_wrap=True, highlight=False)
        for file in (stdout, stderr)
    ]
    return Captured(Output(as_json=as_json, stdout=consoles[0], stderr=consoles[1]), stdout, stderr)


@dataclass(frozen=True)
class Ran:
    """Exit code and output of a `gostream` process."""

    code: int
    stdout: str
    stderr: str


Gostream = Callable[..., Awaitable[Ran]]


@pytest.fixture
def gostream(tmp_path: Path) -> Gostream:
    """Runs the real command in a separate process."""

    async def run(*arguments: str, **environment: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gostream_cli",
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "COLUMNS": "200", **environment},
        )
        try:
            async with asyncio.timeout(300):
                stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ran(process.returncode, stdout.decode(), stderr.decode())

    return run
