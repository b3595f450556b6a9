"""The server's stop, in a process of its own: what could go wrong there would take pytest along."""

import subprocess
import sys

STOPS = """
import asyncio
from datetime import timedelta
from typing import Any, cast

from gostream_api.interceptors.limits import ConcurrencyLimiter
from gostream_api.server import ApiServer
from gostream_api.watch import WatchService

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


def test_a_server_survives_a_last_call_that_ends_as_the_grace_does() -> None:
    stopped = subprocess.run([sys.executable, "-c", STOPS], capture_output=True, text=True, timeout=120)

    assert stopped.returncode == 0, stopped.stderr[-2000:]
