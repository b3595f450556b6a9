"""TLS on the read door: ALPN chooses the protocol."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc import aio

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from tests.support.wire.raw_http import RawHttp, request

HOT, COLD = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))
USUAL = request(f"/v1/videos/{HOT}")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secured(start_door: Any, authority: trustme.CA) -> Any:
    """A read door with a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return await start_door(tls=context, handshake=5.0)


def client_context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def test_grpc_client_reads_over_tls(secured: Any, authority: trustme.CA) -> None:
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with aio.secure_channel(f"localhost:{secured.port}", credentials) as channel:
        stub: Any = VideoServiceStub(channel)
        video = await stub.GetVideo(GetVideoRequest(id=HOT), timeout=30)

    assert video.id == "x"


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h3", "http/1.1")])
async def test_json_client_reads_over_tls(
    secured: Any, authority: trustme.CA, dial: Any, protocols: tuple[str, ...]
) -> None:
    options = {"ssl": client_context(authority, *protocols), "server_hostname": "localhost"}
    client: RawHttp = await dial(secured, **options)
    first, last = await client.ask(USUAL), await client.ask(request("/x", "Connection: close"))

    assert (first.status, last.status) == (200, 404)
    assert await client.end() == b""


async def test_curl_negotiates_http1(secured: Any, authority: trustme.CA, tmp_path: Path) -> None:
    if not (curl := shutil.which("curl")):
        pytest.skip("curl is not installed")
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    url = f"https://localhost:{secured.port}/v1/videos/{HOT}"
    arguments = (curl, "-sS", "-m", "20", "--http1.1", "--cacert", str(trusted), "-w", "%{http_version}", url)
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()

    assert process.returncode == 0
    assert out.endswith(b"}1.1")


async def test_plain_clients_are_refused(secured: Any, dial: Any) -> None:
    client = await dial(secured)
    client.send(USUAL)

    assert not (await client.end()).startswith(b"HTTP")
    assert not secured.door._connections


async def test_leaving_tls_client_cancels_its_call(secured: Any, authority: trustme.CA, dial: Any) -> None:
    client = await dial(secured, ssl=client_context(authority), server_hostname="localhost")
    client.send(request(f"/v1/videos/{COLD}"))
    async with asyncio.timeout(30):
        while not secured.reads.waiting:
            await asyncio.sleep(0.005)
        client.writer.close()
        while not secured.reads.cancelled:
            await asyncio.sleep(0.005)
