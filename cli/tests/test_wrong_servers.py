"""Errors for servers that cannot be used and arguments that are not valid."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from gostream.v1 import video_pb2
from gostream_client import AsyncClient, InvalidInputError, UnreachableError
from gostream_client.connection.target import dial_target
from tests.support.fake_server import VIDEO_ID, ApiServer, Store, never_answer

from .conftest import Gostream


async def test_http_1_server_is_named_as_such(store: Store) -> None:
    async with AsyncClient(store.url.removeprefix("http://"), timeout=60) as client:
        with pytest.raises(UnreachableError, match="does not speak gRPC; is this the port of the API"):
            await client.get_video(VIDEO_ID)


async def test_unresolvable_host_is_named() -> None:
    async with AsyncClient("no.such.invalid:50051", timeout=60) as client:
        with pytest.raises(
            UnreachableError, match=r"server name in no\.such\.invalid:50051 cannot be resolved"
        ):
            await client.get_video(VIDEO_ID)


@pytest.mark.parametrize(
    "server", ["a b:1", "localhost:５", "\x1b[31m:1", "\udcff:1", "a:1:2", "[g]:1", "a/b:1"]
)
async def test_invalid_servers_are_usage_errors(server: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        dial_target(server)
    assert str(caught.value).isprintable()


async def test_ipv6_address_without_brackets_is_explained() -> None:
    with pytest.raises(InvalidInputError, match="an IPv6 address takes brackets"):
        dial_target("::1:50051")


@pytest.mark.parametrize("command", ["upload", "process"])
async def test_unknown_profile_is_refused_before_any_call(
    gostream: Gostream, server: ApiServer, tmp_path: Path, command: str
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    subject = str(film) if command == "upload" else VIDEO_ID
    ran = await gostream(command, subject, "--profile", "X", "-s", server.address)
    assert ran.code == 2
    assert "must be one of: default, quality" in ran.stderr
    assert not server.api.requests


@pytest.mark.parametrize("status", ["ready", "READY", "STATUS_READY", "Ready", " ready"])
async def test_status_is_accepted_in_any_usual_form(
    gostream: Gostream, server: ApiServer, status: str
) -> None:
    ran = await gostream("ls", "--status", status, "-s", server.address, "--timeout", "30")
    assert ran.code == 0, ran
    assert server.api.requests[0].status == video_pb2.Video.STATUS_READY


async def test_ctrl_c_during_an_upload_starts_no_processing(
    server: ApiServer, store: Store, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    store.answers.append(never_answer)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gostream_cli", "upload", str(film), "-s", server.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(300):
            created = await process.stderr.readline()
            process.send_signal(signal.SIGINT)
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert created.startswith(b"created ")
    assert (process.returncode, stdout, stderr) == (130, b"", b"interrupted\n")
    assert len(server.api.requests) == 1
