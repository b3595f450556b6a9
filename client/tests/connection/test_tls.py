"""The client's TLS: the authority, its own certificate, and servers that are dialled by address."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from gostream.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc
from gostream_client import AsyncClient, Client, GoStreamError, InvalidInputError, Tls, UnreachableError
from tests.support.certificates import Files, replace

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
Serve = Callable[..., Awaitable[int]]


class _Service(video_service_pb2_grpc.VideoServiceServicer):
    async def GetVideo(  # noqa: N802 - the name in the contract
        self, request: video_service_pb2.GetVideoRequest, context: object
    ) -> video_pb2.Video:
        return video_pb2.Video(id=request.id)


def _service() -> Any:
    return _Service()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "server")


@pytest.fixture
async def serve(files: Files) -> AsyncIterator[Serve]:
    """A function that starts a server, which may require certificates of the authority."""
    async with AsyncExitStack() as stack:

        async def start(*, needs_certificate: bool = False) -> int:
            server = aio.server()
            video_service_pb2_grpc.add_VideoServiceServicer_to_server(_service(), server)
            pair = (files.key.read_bytes(), files.certificate.read_bytes())
            credentials = grpc.ssl_server_credentials(
                [pair], files.ca.read_bytes() if needs_certificate else None, needs_certificate
            )
            port = server.add_secure_port("127.0.0.1:0", credentials)
            await server.start()
            stack.push_async_callback(server.stop, None)
            return port

        yield start


async def read(server: str, tls: Tls | None) -> str:
    """Reads the id with both clients, which must agree."""

    def blocking() -> str:
        with Client(server, timeout=20, tls=tls) as client:
            return client.get_video(ID).id

    try:
        async with AsyncClient(server, timeout=20, tls=tls) as client:
            found = (await client.get_video(ID)).id
    except GoStreamError as error:
        with pytest.raises(type(error)):
            await asyncio.to_thread(blocking)
        raise
    assert await asyncio.to_thread(blocking) == found
    return found


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_server_of_the_authority_is_called(files: Files, serve: Serve, host: str) -> None:
    assert await read(f"{host}:{await serve()}", Tls(files.ca)) == ID


async def test_several_servers_are_called(files: Files, serve: Serve) -> None:
    assert await read(f"localhost:{await serve()},localhost:{await serve()}", Tls(files.ca)) == ID


@pytest.mark.slow
async def test_other_authorities_and_plaintext_are_unreachable(
    files: Files, serve: Serve, tmp_path: Path
) -> None:
    server = f"localhost:{await serve()}"

    for tls in (Tls(Files(tmp_path / "other").ca), Tls(), None):
        with pytest.raises(UnreachableError):
            await read(server, tls)


async def test_certificate_is_presented(files: Files, serve: Serve) -> None:
    server = f"localhost:{await serve(needs_certificate=True)}"

    assert await read(server, Tls(files.ca, files.certificate, files.key)) == ID
    with pytest.raises(UnreachableError):
        await read(server, Tls(files.ca))


async def test_unusable_files_are_named(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"/nowhere cannot be read"):
        await read("localhost:1", Tls(Path("/nowhere")))
    with pytest.raises(InvalidInputError, match="needed together"):
        await read("localhost:1", Tls(files.ca, certificate=files.certificate))
    replace(tmp_path / "none.pem", b"none")
    with pytest.raises(UnreachableError):
        await read("localhost:1", Tls(tmp_path / "none.pem"))
