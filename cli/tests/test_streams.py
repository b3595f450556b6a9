"""Streams that are closed, full, or a terminal."""

import asyncio
import os
import shlex
import sys

import pytest

from tests.support.fake_server import VIDEO_ID, ApiServer, Video, video

from .conftest import Ran, capture

URL = "http://localhost:8081/hls/" + "x" * 100


async def shell(command: str, server: ApiServer) -> Ran:
    """Runs `gostream COMMAND` with its redirections in a shell and returns the result."""
    process = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m gostream_cli {command}",
        env={"PATH": os.defpath, "GOSTREAM_API_ADDR": server.address},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(300):
        stdout, stderr = await process.communicate()
    return Ran(process.returncode or 0, stdout.decode(), stderr.decode())


@pytest.mark.parametrize("command", [f"get {VIDEO_ID}", "ls", f"get {VIDEO_ID} --json", "--help"])
async def test_closed_stdout_is_no_error(server: ApiServer, command: str) -> None:
    ran = await shell(f"{command} >&-", server)
    assert (ran.code, ran.stdout) == (0, "")


async def test_closed_stderr_does_not_affect_stdout(server: ApiServer) -> None:
    ran = await shell("verify http://127.0.0.1:1 2>&-", server)
    assert (ran.code, ran.stdout) == (4, "")


async def test_full_disk_is_reported(server: ApiServer) -> None:
    ran = await shell("ls --json >/dev/full", server)
    assert ran.code == 1
    assert "the output cannot be written: No space left on device" in ran.stderr


async def test_closed_stdin_confirms_nothing(server: ApiServer) -> None:
    ran = await shell(f"rm {VIDEO_ID} <&-", server)
    assert (ran.code, ran.stderr) == (2, "gostream: rm needs --yes if stdin is not a terminal\n")
    assert not server.api.requests


def test_narrow_terminal_cuts_neither_ids_nor_addresses() -> None:
    shown = capture(terminal=True)
    ready = video(Video.STATUS_READY, 3, playback_url=URL)
    shown.out.video(ready)
    shown.out.videos([ready])
    text = shown.stdout.getvalue()
    assert URL in text
    assert text.count(VIDEO_ID) == 2
    assert "…" not in text


async def test_ctrl_c_during_startup_prints_nothing() -> None:
    program = "import os, signal, sys\nfrom gostream_cli import __main__ as command\n"
    program += "class Late:\n    def find_spec(self, name, *rest):\n"
    program += "        if name == 'gostream_cli.app': os.kill(os.getpid(), signal.SIGINT)\n"
    program += "sys.meta_path.insert(0, Late())\ncommand.main()\n"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        _, stderr = await process.communicate()
    assert (process.returncode, stderr) == (130, b"")
