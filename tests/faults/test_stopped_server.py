"""SIGSTOP freezes the only server: every call of both clients ends at its deadline."""

import asyncio
import os
import signal
import sys

import pytest

from client.tests.deadlines import check_deadlines

pytestmark = pytest.mark.faults
#: A server in another process, which writes its address.
PROGRAM = """
import asyncio
from tests.support.fake_server import Api, serve_api

async def main():
    async with serve_api(Api()) as server:
        print(server.address, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_stopped_server_does_not_delay_calls() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        address = (await process.stdout.readline()).decode().strip()
        await check_deadlines(address, prepare=lambda: os.kill(process.pid, signal.SIGSTOP))
    finally:
        process.kill()
        await process.wait()
