"""The read door's certificate is replaced under load."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvloop
from grpc import aio

from gostream.v1.video_service_pb2 import GetVideoRequest
from gostream.v1.video_service_pb2_grpc import VideoServiceStub
from gostream_api.read_door.server import ReadDoor
from gostream_api.read_door.sniffing import ALPN
from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_shared.tls import ServerTls
from tests.support.certificates import Files

HOT = "00000000-0000-0000-0000-000000000001"


class _Hot:
    """Every video is in L1."""

    def peek_video(self, *_: object, **__: object) -> bytes:
        return b"\x0a\x01x"


def test_rotation_under_load_fails_no_call(tmp_path: Path) -> None:
    assert uvloop.run(_rotate(Files(tmp_path)))  # the loop of the service


async def _rotate(files: Files) -> int:
    """Returns the number of calls during ten rotations."""
    reads: Any = _Hot()
    limiter = ConcurrencyLimiter(max_calls=100, max_streams=1)
    tls = ServerTls(files.certificate, files.key).context(ALPN)
    door = ReadDoor(reads, limiter, host="127.0.0.1", port=0, full_port=1, tls=tls)
    port = await door.start()
    is_over = asyncio.Event()

    async def call() -> int:
        done = 0
        while not is_over.is_set():
            options = [("grpc.use_local_subchannel_pool", 1)]
            address, credentials = f"localhost:{port}", files.channel_credentials()
            async with aio.secure_channel(address, credentials, options=options) as channel:
                stub: Any = VideoServiceStub(channel)
                for _ in range(10):
                    await stub.GetVideo(GetVideoRequest(id=HOT), timeout=30)
                    done += 1
        return done

    async with asyncio.timeout(300):
        async with asyncio.TaskGroup() as tasks:
            callers = [tasks.create_task(call()) for _ in range(4)]
            for _ in range(10):
                serial = files.renew()
                while await files.served(port, "h2") != serial:
                    pass
            is_over.set()
        await door.stop(timedelta(seconds=5))
    return min(caller.result() for caller in callers)
