"""The certificate of listeners: its reload, its failures, and certificates of clients."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from gostream_shared.config import Config, ConfigError, load
from gostream_shared.domain.errors import MisconfiguredError
from gostream_shared.grpc_health import Health, bind
from gostream_shared.observability.metrics import serve_metrics
from gostream_shared.tls import NOT_AFTER, ServerTls
from tests.support.certificates import Files, replace

Serve = Callable[[ServerTls], Awaitable[int]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "server")


@pytest.fixture
def tls(files: Files) -> ServerTls:
    return ServerTls(files.certificate, files.key)


@pytest.fixture
async def serve_grpc() -> AsyncIterator[Serve]:
    """A function that serves the gRPC health, as both services do."""
    async with AsyncExitStack() as stack:

        async def serve(tls: ServerTls) -> int:
            server = aio.server()
            health = Health(server)
            port = bind(server, "127.0.0.1", 0, tls.credentials())
            await health.report(is_serving=True)
            await server.start()
            stack.push_async_callback(server.stop, None)
            return port

        yield serve


@pytest.fixture
async def serve_pages() -> AsyncIterator[Serve]:
    """A function that serves the metrics."""
    async with AsyncExitStack() as stack:

        async def serve(tls: ServerTls) -> int:
            return await stack.enter_async_context(serve_metrics("127.0.0.1", 0, tls=tls.context()))

        yield serve


@pytest.fixture(params=["grpc", "metrics"])
def serve(request: pytest.FixtureRequest, serve_grpc: Serve, serve_pages: Serve) -> Serve:
    return serve_grpc if request.param == "grpc" else serve_pages


@pytest.fixture
async def port(serve: Serve, tls: ServerTls) -> int:
    return await serve(tls)


async def check(port: int, credentials: grpc.ChannelCredentials) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
        stub: Any = HealthStub(channel)
        await stub.Check(HealthCheckRequest(), timeout=30)


async def test_new_handshakes_get_the_renewed_certificate(files: Files, port: int) -> None:
    for _ in range(3):
        serial = files.renew()
        assert await files.served(port, "h2") == serial


async def test_unusable_pair_leaves_the_old(files: Files, port: int) -> None:
    serial = await files.served(port, "h2")
    other = files.authority.issue_cert("localhost")
    for key in (other.private_key_pem.bytes(), b"no key", b""):
        replace(files.key, key)
        assert await files.served(port, "h2") == serial
    files.key.unlink()
    assert await files.served(port, "h2") == serial
    assert await files.served(port, "h2") != files.renew() == await files.served(port, "h2")


async def test_gauge_has_the_expiry_in_use(files: Files, port: int) -> None:
    before = NOT_AFTER._value.get()
    leaf = files.authority.issue_cert("localhost", not_after=_moment(before + 3600))
    replace(files.key, leaf.private_key_pem.bytes())
    await files.served(port, "h2")
    assert NOT_AFTER._value.get() == before

    replace(files.certificate, leaf.cert_chain_pems[0].bytes())
    await files.served(port, "h2")
    assert NOT_AFTER._value.get() == before + 3600


async def test_client_of_another_authority_refuses(files: Files, port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await Files(files.folder / "other").served(port, "h2")


async def test_client_needs_a_certificate(files: Files, tmp_path: Path, serve: Serve) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ca = tmp_path / "clients.crt"
    replace(ca, ours.cert_pem.bytes())
    port = await serve(ServerTls(files.certificate, files.key, ca))

    assert not await _is_admitted(files, port, None)
    assert not await _is_admitted(files, port, other)
    assert await _is_admitted(files, port, ours)

    replace(ca, other.cert_pem.bytes())
    assert not await _is_admitted(files, port, ours)
    assert await _is_admitted(files, port, other)


async def test_rotation_under_load_fails_no_call(files: Files, tls: ServerTls, serve_grpc: Serve) -> None:
    port = await serve_grpc(tls)
    rotating = asyncio.Event()

    async def call() -> int:
        done = 0
        while not rotating.is_set():
            await check(port, files.channel_credentials())
            done += 1
        return done

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(300):
        callers = [tasks.create_task(call()) for _ in range(4)]
        for _ in range(10):
            serial = files.renew()
            while await files.served(port, "h2") != serial:
                pass
        rotating.set()

    assert all(caller.result() for caller in callers)


def test_unusable_files_prevent_the_start(files: Files) -> None:
    replace(files.key, files.authority.issue_cert("localhost").private_key_pem.bytes())

    with pytest.raises(MisconfiguredError, match="no valid pair of certificate and key"):
        ServerTls(files.certificate, files.key)


def test_encrypted_key_prevents_the_start(files: Files) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    replace(files.key, key.private_bytes(serialization.Encoding.PEM, form, secret))

    with pytest.raises(MisconfiguredError, match="must not be encrypted"):
        ServerTls(files.certificate, files.key)


@pytest.mark.parametrize(
    ("left_out", "error"),
    [
        ("TLS_KEY_FILE", "TLS_KEY_FILE: must be set if TLS_CERT_FILE is, and only then"),
        ("TLS_CERT_FILE", "TLS_KEY_FILE: must be set if TLS_CERT_FILE is, and only then"),
    ],
)
def test_files_are_needed_in_pairs(files: Files, left_out: str, error: str) -> None:
    environment = {"DATABASE_URL": "postgresql://localhost/db", **files.environment()}
    del environment[left_out]

    with pytest.raises(ConfigError) as caught:
        load(Config, environment)
    assert error in str(caught.value)


async def _is_admitted(files: Files, port: int, authority: trustme.CA | None) -> bool:
    """Whether a client gets an answer, with a certificate of the authority."""
    context = files.client_context("h2")
    if authority:
        authority.issue_cert("client").configure_cert(context)
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
    except OSError:
        return False
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        # TLS 1.3 refuses a client after its side of the handshake.
        return bool(await reader.read(1))
    except OSError:
        return False
    finally:
        writer.transport.abort()


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
