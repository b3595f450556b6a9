"""Runs the programs of docs/how-to/python-client.md."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest

from gostream_devstack.instance.stack import Stack
from tests.support.repository import ROOT

pytestmark = pytest.mark.stack
PAGE = ROOT / "docs/how-to/python-client.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


async def run(program: str, folder: Path, address: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", program),
        cwd=folder,
        env={"GOSTREAM_API_ADDR": address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(200):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, stderr.decode()) == (0, "")
    return stdout.decode().splitlines()


@pytest.mark.slow
async def test_programs_of_the_page_work(stack: Stack, small_clip: Path, tmp_path: Path) -> None:
    shutil.copy(small_clip, tmp_path / "holiday.mp4")
    blocking, asynchronous = await asyncio.gather(
        *(run(program, tmp_path, stack.env["GOSTREAM_API_ADDR"]) for program in PROGRAMS)
    )

    assert re.fullmatch(r"http.*/hls/.*/master\.m3u8", blocking[0])
    assert len(blocking) == 2
    assert asynchronous[0] == "0 bytes"
    assert any(line.startswith("PROCESSING") for line in asynchronous)
    assert re.fullmatch(r"http.*/hls/.*/master\.m3u8", asynchronous[-2])
    assert asynchronous[-1].startswith("VIDEO_NOT_FOUND ")
