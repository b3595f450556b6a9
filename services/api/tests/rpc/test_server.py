"""The server: calls per connection, and its stop."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any, cast

import grpc
from grpc import aio

from gostream_api.config import ApiConfig
from gostream_api.rpc.interceptors.base import Asked, Handler
from gostream_api.rpc.server import ApiServer
from gostream_api.rpc.servicer import SERVICE
from gostream_api.videos.watch import WatchService

#: Runs in a separate process: a crash would end pytest too.
STOPS = """
import asyncio
from datetime import timedelta
from typing import Any, cast

from gostream_api.rpc.interceptors.limits import ConcurrencyLimiter
from gostream_api.rpc.interceptors.base import Asked, Handler
from gostream_api.rpc.server import ApiServer
from gostream_api.videos.watch import WatchService

async def drained(self):
    await asyncio.sleep(0)  # the last call ends as the grace does

async def main():
    ConcurrencyLimiter.drained = drained
    for _ in range(300):
        watches = WatchService(database=cast(Any, None), events=cast(Any, None))
        server = ApiServer({}, watches, max_calls=1, max_streams=1)
        await server.start("127.0.0.1", 0)
        await server.stop(delay=timedelta(0), grace=timedelta(0))

asyncio.run(main())
"""


def test_server_survives_call_ending_with_the_grace() -> None:
    stopped = subprocess.run([sys.executable, "-c", STOPS], capture_output=True, text=True, timeout=120)

    assert stopped.returncode == 0, stopped.stderr[-2000:]


async def test_one_connection_carries_all_concurrent_calls() -> None:
    most = ApiConfig.model_fields["max_concurrent_rpcs"].default
    all_at_work = asyncio.Barrier(most)

    async def wait_for_the_others(request: Asked[bytes], context: object) -> bytes:
        await all_at_work.wait()
        return request.message

    watches = WatchService(database=cast("Any", None), events=cast("Any", None))
    handlers: dict[str, Handler] = {"GetVideo": grpc.unary_unary_rpc_method_handler(wait_for_the_others)}
    server = ApiServer(handlers, watches, max_calls=most, max_streams=1)
    port = await server.start("127.0.0.1", 0)
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(300):
            call: Any = channel.unary_unary(f"/{SERVICE}/GetVideo")
            answers = await asyncio.gather(*(call(b"%d" % number) for number in range(most)))
    finally:
        await server.stop(delay=timedelta(0), grace=timedelta(0))

    assert answers == [b"%d" % number for number in range(most)]
