"""gostream-audit reports lagging replicas and only those."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio

from gostream.v1 import video_pb2
from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream_api.rpc.servicer import SERVICE
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.repositories import NewVideo

#: Tolerance for tests without a lagging replica. It costs no time and allows for a busy machine.
GENEROUS = "20s"


@asynccontextmanager
async def scripted_replica(answer: Callable[[UUID], Awaitable[int | None]]) -> AsyncIterator[int]:
    """Yields the replica's port."""

    async def get_video(request: Any, context: Any) -> Any:
        version = await answer(UUID(request.id))
        if version is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such video")
        return video_pb2.Video(id=request.id, version=version or 0)

    server = aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        get_video, GetVideoRequest.FromString, video_pb2.Video.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetVideo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@dataclass(slots=True)
class Audit:
    """A running gostream-audit."""

    process: asyncio.subprocess.Process

    async def end(self) -> tuple[int, str]:
        """Returns its exit code and its output."""
        async with asyncio.timeout(300):
            output, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, output.decode()


@pytest.fixture
async def start_audit(database_url: str) -> AsyncIterator[Callable[..., Awaitable[Audit]]]:
    """A function that starts `gostream-audit` for replicas on these ports and waits until it listens."""
    processes: list[asyncio.subprocess.Process] = []
    async with PostgresDatabase.open(database_url) as database:

        async def listeners() -> set[int]:
            # A LISTEN that is still running is listed too, but receives no notifications yet.
            rows = await database.pool.fetch(
                "SELECT pid FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%gostream_changes%' AND state = 'idle'"
            )
            return {row["pid"] for row in rows}

        async def start(*ports: int, arguments: tuple[str, ...] = (), tolerance: str = "1s") -> Audit:
            environment = {
                **os.environ,
                "DATABASE_URL": database_url,
                "GOSTREAM_API_ADDR": ",".join(f"127.0.0.1:{port}" for port in ports),
                "AUDIT_TOLERANCE": tolerance,
                "METRICS_HOST": "127.0.0.1",
                "METRICS_PORT": "0",
            }
            before = await listeners()  # may include an audit that has just ended
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gostream_audit.app", *arguments),
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            processes.append(process)
            async with asyncio.timeout(300):
                while not await listeners() - before:
                    await asyncio.sleep(0.05)
            return Audit(process)

        yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def create_and_change(database: PostgresDatabase) -> UUID:
    """One video with two versions."""
    video = await database.videos.create(
        NewVideo(id=uuid4(), user_id="u1", title="a", content_type="video/mp4")
    )
    await database.pool.execute("UPDATE videos SET title = 'b' WHERE id = $1", video.id)
    return video.id


async def test_current_replicas_are_not_reported(
    start_api: Callable[..., Awaitable[Any]],
    start_audit: Callable[..., Awaitable[Audit]],
    database: PostgresDatabase,
) -> None:
    ports = [(await start_api()).port for _ in range(2)]
    audit = await start_audit(*ports, arguments=("--once", "3"), tolerance=GENEROUS)

    video_id = await create_and_change(database)
    await database.videos.delete(video_id)

    assert await audit.end() == (0, "")


async def test_lagging_replica_is_reported(
    start_audit: Callable[..., Awaitable[Audit]], database: PostgresDatabase
) -> None:
    async def first_version(video_id: UUID) -> int:
        return 1

    async def current(video_id: UUID) -> int:
        return (await database.videos.get(video_id)).version

    async with scripted_replica(first_version) as stale, scripted_replica(current) as healthy:
        audit = await start_audit(stale, healthy, arguments=("--once", "2"))
        video_id = await create_and_change(database)
        code, output = await audit.end()

    assert code == 1
    assert "replicas returned an old version 1 times" in output
    assert f"127.0.0.1:{stale}" in output
    assert str(video_id) in output
    assert f"127.0.0.1:{healthy}" not in output


async def test_not_found_is_reported_unless_video_is_deleted(
    start_audit: Callable[..., Awaitable[Audit]], database: PostgresDatabase
) -> None:
    async def nothing(video_id: UUID) -> None:
        return None

    async with scripted_replica(nothing) as port:
        audit = await start_audit(port, arguments=("--once", "2"))
        video_id = await create_and_change(database)
        code, output = await audit.end()
        assert code == 1
        assert "2 times" in output

        audit = await start_audit(port, arguments=("--once", "1"))
        await database.videos.delete(video_id)
        assert await audit.end() == (0, "")


async def test_replica_that_catches_up_is_not_reported(
    start_audit: Callable[..., Awaitable[Audit]], database: PostgresDatabase
) -> None:
    asked = 0

    async def late(video_id: UUID) -> int:
        nonlocal asked
        asked += 1
        return 1 if asked < 5 else 2

    async with scripted_replica(late) as port:
        audit = await start_audit(port, arguments=("--once", "2"), tolerance=GENEROUS)
        await create_and_change(database)

        assert await audit.end() == (0, "")
    assert asked >= 5


@pytest.mark.slow
async def test_silent_replica_is_neither_current_nor_reported(
    start_audit: Callable[..., Awaitable[Audit]], database: PostgresDatabase
) -> None:
    async with scripted_replica(_hang) as port:
        audit = await start_audit(port, arguments=("--once", "1"))
        await database.videos.create(NewVideo(id=uuid4(), user_id="u1", title="a", content_type="video/mp4"))

        assert await audit.end() == (0, "")


async def _hang(video_id: UUID) -> None:
    await asyncio.sleep(60)


async def test_audit_stops_on_sigterm(start_audit: Callable[..., Awaitable[Audit]]) -> None:
    async with scripted_replica(_hang) as port:
        audit = await start_audit(port)
        audit.process.terminate()

        assert await audit.end() == (0, "")


async def test_invalid_address_is_refused() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gostream_audit.app"),
        env={**os.environ, "DATABASE_URL": "postgresql://x", "GOSTREAM_API_ADDR": "nowhere"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert "GOSTREAM_API_ADDR: must be host:port" in errors.decode()
