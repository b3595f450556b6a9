"""Contenders that run alternately."""

import asyncio
import sys
import time
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from benchmarks.encode.turns import Contender, take_turns

#: Writes its letter 300 times, at least 1 ms apart.
WRITER = "import sys, time\nfor _ in range(300): open(sys.argv[1], 'a').write(sys.argv[2]); time.sleep(0.001)"


class Writer:
    """A process that writes one letter repeatedly."""

    def __init__(self, to: Path, letter: str) -> None:
        self._arguments = str(to), letter
        self.pid: int | None = None

    async def run(self) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, *self._arguments)
        self.pid = process.pid
        code = await process.wait()
        self.pid = None
        assert code == 0


def contender(writer: Writer) -> Contender:
    return Contender(writer.run, partial(getattr, writer, "pid"), lambda: (time.process_time(),))


async def test_only_one_contender_runs_and_is_charged(tmp_path: Path) -> None:
    written = tmp_path / "written"
    contenders = [contender(Writer(written, letter)) for letter in "abc"]

    began = time.monotonic()
    async with asyncio.timeout(300):
        await take_turns(contenders, seconds=0.1)
    elapsed = time.monotonic() - began

    letters = written.read_text()
    assert sorted(letters) == sorted("abc" * 300)
    # Every turn but each contender's last takes at least 0.1 s.
    assert 3 < len(list(groupby(letters))) <= 3 + elapsed / 0.1, "turns must not overlap"
    assert sum(c.clock() for c in contenders) == pytest.approx(elapsed, rel=0.2)
    assert all(0 < c.used[0] <= c.clock() for c in contenders)


async def test_failure_cancels_the_other_contenders() -> None:
    async def fail() -> None:
        raise LookupError

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    never = Contender(wait_for_ever, lambda: None)
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(300):
            await take_turns([Contender(fail, lambda: None), never], seconds=0.05)
