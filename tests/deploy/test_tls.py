"""TLS everywhere: each listener of the stack, its certificate, and its renewal under load."""

import asyncio
import http.client
import os
import socket
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc import aio
from imageio_ffmpeg import get_ffmpeg_exe

from gostream.v1.video_service_pb2 import GetVideoRequest, ListVideosRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_devstack.host.http_probe import request
from gostream_devstack.instance.stack import Stack
from gostream_shared.config import Config, load
from gostream_shared.domain.errors import BackendRefusedError
from gostream_shared.storage.open_store import open_store
from tests.support.certificates import serial_of

pytestmark = [pytest.mark.stack, pytest.mark.slow]

LISTENERS = ("api-1", "reads", "metrics", "worker-1", "envoy", "nginx", "seaweedfs", "redis-tls")
#: They read renewed files; SeaweedFS reads its own after hours.
RENEWED = tuple(name for name in LISTENERS if name != "seaweedfs")


def port_of(stack: Stack, name: str) -> int:
    api = stack.apis[0]
    return {"reads": api.read_port, "metrics": api.metrics_port}.get(name) or stack.servers[name].port


def served(port: int, context: ssl.SSLContext) -> int:
    """Returns the serial number of the certificate that a new connection gets."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate: Any = connection.getpeercert()
        return int(certificate["serialNumber"], 16)


@pytest.mark.parametrize("name", LISTENERS)
def test_listener_has_a_certificate_of_the_authority(tls_stack: Stack, name: str) -> None:
    assert tls_stack.certificates
    context = ssl.create_default_context(cafile=tls_stack.certificates.authority)
    other = ssl.create_default_context(cadata=trustme.CA().cert_pem.bytes().decode())
    for each in (context, other):
        each.set_alpn_protocols(["h2", "http/1.1"])

    issued = serial_of(tls_stack.certificates.certificate.read_bytes())
    assert served(port_of(tls_stack, name), context) == issued
    with pytest.raises(ssl.SSLCertVerificationError):
        served(port_of(tls_stack, name), other)


def test_video_is_published_by_tls(tls_stack: Stack, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1"]
    encode = [get_ffmpeg_exe(), "-v", "error", *picture, "-pix_fmt", "yuv420p", str(source)]
    subprocess.run(encode, check=True, timeout=120)
    command = [sys.executable, "-m", "gostream_cli", "upload", "--watch", str(source)]

    done = subprocess.run(
        command, env={**os.environ, **tls_stack.env}, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "playback:\thttps://" in done.stdout


def test_edge_demands_tls_of_browsers(tls_stack: Stack) -> None:
    assert tls_stack.certificates
    context = ssl.create_default_context(cafile=tls_stack.certificates.authority)
    port = port_of(tls_stack, "nginx")
    with closing(http.client.HTTPSConnection("localhost", port, timeout=30, context=context)) as edge:
        edge.request("GET", "/hls/none/master.m3u8")

        assert edge.getresponse().getheader("strict-transport-security") == "max-age=31536000"


def test_audit_reads_by_tls(tls_stack: Stack) -> None:
    """The audit follows one change: the next video."""
    audit = subprocess.Popen(
        [sys.executable, "-m", "gostream_audit.app", "--once", "1"],
        env={**os.environ, **tls_stack.env, "METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1"},
    )
    environment = {**os.environ, **tls_stack.env}
    upload = [sys.executable, "-m", "gostream_cli", "upload", "--no-process", __file__]
    try:
        while audit.poll() is None:  # changes of before its start do not count
            subprocess.run([*upload, "--content-type", "video/mp4"], env=environment, timeout=60, check=True)
    finally:
        audit.kill()
    assert audit.wait() == 0


async def test_store_of_another_authority_is_refused(tls_stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    shown = {name: value for name, value in tls_stack.env.items() if name.startswith(("S3_", "DATABASE_"))}

    async with open_store(load(Config, shown)) as store:
        await store.put("uploads/x", b"x", content_type="text/plain")
        assert await store.get("uploads/x") == b"x"
    with pytest.raises(BackendRefusedError) as caught:
        async with open_store(load(Config, {**shown, "S3_CA_FILE": str(tmp_path / "ca.crt")})):
            pass
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.cause)


async def test_rotation_under_load_fails_no_call(tls_stack: Stack) -> None:
    """Callers open a connection per call, at the API, the read door, Envoy and nginx."""
    certificates = tls_stack.certificates
    assert certificates
    context = ssl.create_default_context(cafile=certificates.authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    is_over = asyncio.Event()
    callers: list[asyncio.Task[int]] = []

    async with asyncio.timeout(300), asyncio.TaskGroup() as tasks:
        authority = certificates.authority
        for name in ("api-1", "envoy"):
            calls = _list(port_of(tls_stack, name), authority, is_over)
            callers += [tasks.create_task(calls)]
        callers += [tasks.create_task(_read(port_of(tls_stack, "reads"), authority, is_over))]
        for name in ("nginx", "envoy"):
            callers += [tasks.create_task(_fetch(port_of(tls_stack, name), authority, is_over))]
        for _ in range(3):
            certificates.renew()
            issued = serial_of(certificates.certificate.read_bytes())
            for name in RENEWED:
                while await asyncio.to_thread(served, port_of(tls_stack, name), context) != issued:
                    await asyncio.sleep(0.1)  # nginx keeps a certificate for ten seconds
        is_over.set()

    assert all(caller.result() for caller in callers)


def _channel(port: int, authority: Path) -> aio.Channel:
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    return aio.secure_channel(f"localhost:{port}", credentials, options=options)


async def _list(port: int, authority: Path, is_over: asyncio.Event) -> int:
    """Returns the number of answered calls."""
    done = 0
    while not is_over.is_set():
        async with _channel(port, authority) as channel:
            stub: Any = VideoServiceStub(channel)
            await stub.ListVideos(ListVideosRequest(), timeout=60)
        done += 1
    return done


async def _read(port: int, authority: Path, is_over: asyncio.Event) -> int:
    done = 0
    while not is_over.is_set():
        async with _channel(port, authority) as channel:
            stub: Any = VideoServiceStub(channel)
            with pytest.raises(aio.AioRpcError) as caught:
                await stub.GetVideo(GetVideoRequest(id="01890a5d-ac96-774b-bcce-b302099a8057"), timeout=60)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        done += 1
    return done


async def _fetch(port: int, authority: Path, is_over: asyncio.Event) -> int:
    done = 0
    while not is_over.is_set():
        status, _ = await asyncio.to_thread(request, port, "GET", "/healthz", authority=authority)
        assert status == 200
        done += 1
    return done
