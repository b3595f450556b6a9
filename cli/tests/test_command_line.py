"""The real `gostream` process as scripts see it."""

import asyncio
import json
import os
import pty
import signal
import sys
from pathlib import Path

import grpc
import pytest

from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, Store, Video, processing, video

from .conftest import Gostream


async def test_upload_processes_a_file_to_ready(
    gostream: Gostream, server: ApiServer, store: Store, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x" * 100_000)
    server.api.streams.append(
        [processing(50), video(Video.STATUS_READY, 3, playback_url="http://cdn/master.m3u8")]
    )
    ran = await gostream(
        "upload", str(film), "--watch", "--json", "--timeout", "30", GOSTREAM_API_ADDR=server.address
    )
    states = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [state["status"] for state in states] == ["STATUS_PROCESSING", "STATUS_READY"], ran
    assert (ran.code, states[-1]["playback_url"]) == (0, "http://cdn/master.m3u8"), ran
    assert store.headers["Content-Length"] == "100000"


async def test_errors_are_one_line_or_one_json_object(gostream: Gostream, server: ApiServer) -> None:
    missing = Refusal(grpc.StatusCode.NOT_FOUND, "video x was not found", "VIDEO_NOT_FOUND")
    server.api.refusals.extend([missing, missing])
    arguments = ("get", VIDEO_ID, "--server", server.address, "--timeout", "30")
    plain = await gostream(*arguments)
    assert (plain.code, plain.stdout) == (1, "")
    assert plain.stderr == "gostream: video x was not found (VIDEO_NOT_FOUND, request id req-7)\n"
    as_json = await gostream(*arguments, "--json")
    assert json.loads(as_json.stderr)["error"]["reason"] == "VIDEO_NOT_FOUND"
    assert as_json.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("get", "x", "--server", "127.0.0.1:1"), 4),
        (("get", "x", "--server", "nonsense"), 2),
        (("get",), 2),
        (("upload", "/no/such/file"), 2),
        (("upload", "f", "--watch", "--no-process"), 2),
        (("rm", "x"), 2),
        (("--version",), 0),
    ],
)
async def test_exit_codes(gostream: Gostream, arguments: tuple[str, ...], code: int) -> None:
    ran = await gostream(*arguments)
    assert ran.code == code, ran
    assert "Traceback" not in ran.stderr


async def test_cancel_prints_the_video_and_exits_0(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream("cancel", VIDEO_ID, "--json", "-s", server.address, "--timeout", "30")
    assert (ran.code, json.loads(ran.stdout)["status"]) == (0, "STATUS_CANCELLED"), ran


async def test_rm_yes_deletes_without_asking(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream("rm", VIDEO_ID, "--yes", "--json", "-s", server.address, "--timeout", "30")
    assert (ran.code, ran.stdout) == (0, "{}\n"), ran


@pytest.mark.parametrize(("answer", "code", "asked"), [(b"n\n", 2, 0), (b"y\n", 0, 1), (b"", 130, 0)])
async def test_rm_asks_for_confirmation(server: ApiServer, answer: bytes, code: int, asked: int) -> None:
    terminal, stdin = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gostream_cli", "rm", VIDEO_ID, "-s", server.address, "--timeout", "30"),
        stdin=stdin,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(stdin)
    try:
        async with asyncio.timeout(300):
            assert process.stderr is not None
            await process.stderr.readuntil(b"?")
            if answer:
                os.write(terminal, answer)
            else:
                process.send_signal(signal.SIGINT)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(terminal)
    assert (process.returncode, len(server.api.requests)) == (code, asked)


async def test_ctrl_c_exits_130_without_a_traceback(server: ApiServer) -> None:
    server.api.streams.append([processing(10), 600.0])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gostream_cli", "watch", VIDEO_ID, "--json", "-s", server.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(300):
            await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 130
    assert stderr.decode() == "interrupted\n"


async def test_closed_pipe_is_no_error(server: ApiServer) -> None:
    server.api.videos = [video(version=n + 1) for n in range(1000)]
    command = f"{sys.executable} -m gostream_cli ls --limit 1000 -s {server.address} --timeout 30 | head -n 1"
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        stdout, stderr = await process.communicate()
    assert stdout.startswith(VIDEO_ID.encode())
    assert stderr == b""


async def test_token_comes_from_option_or_environment(
    gostream: Gostream, server: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("three\n")
    arguments = ("get", VIDEO_ID, "--server", server.address, "--timeout", "30")

    ran = [
        await gostream("--token", "one", *arguments, GOSTREAM_TOKEN_FILE=str(file)),
        await gostream(*arguments, GOSTREAM_TOKEN="two"),
        await gostream(*arguments, GOSTREAM_TOKEN_FILE=str(file)),
        await gostream("get", VIDEO_ID, "--server", "192.0.2.1:1", GOSTREAM_TOKEN="two"),
    ]

    assert [each.code for each in ran] == [0, 0, 0, 2], ran
    assert server.api.tokens == ["Bearer one", "Bearer two", "Bearer three"]
    assert "plaintext" in ran[-1].stderr
