"""Children that parse untrusted data: limited, in their own process group, and always ended."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gostream_worker.sandbox.confinement import Confinement

#: Seconds between SIGTERM to a child and SIGKILL to its group.
STOP_GRACE = 3.0
_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """Limits of one child: bytes of address space, seconds of CPU, bytes per file."""

    memory: int
    cpu_seconds: int
    file_bytes: int
    open_files: int = 128


@asynccontextmanager
async def limited_child(
    command: Sequence[str],
    limits: ChildLimits,
    *,
    folder: Path,
    stdin: int = DEVNULL,
    confinement: Confinement | None = None,
) -> AsyncIterator[Process]:
    """Runs a child with stdout and stderr piped. Its process group has ended when the block ends.

    The child has no stdin unless it is a pipe, cannot gain privileges, has no environment except a missing
    home directory, and dies with this process.
    """
    process = await _spawn(command, limits, folder, stdin, confinement)
    try:
        yield process
    finally:
        stopping = asyncio.ensure_future(_stop(process))
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            _signal_group(process, signal.SIGKILL)
            await stopping
            raise


async def _spawn(
    command: Sequence[str], limits: ChildLimits, folder: Path, stdin: int, confinement: Confinement | None
) -> Process:
    numbers = (os.getpid(), limits.memory, limits.cpu_seconds, limits.file_bytes, limits.open_files)
    spawning = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            sys.executable,
            *(
                "-I",
                "-S",
                str(_LAUNCHER),
                *map(str, numbers),
                confinement.to_json() if confinement else "",
                *command,
            ),
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            env={},
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        # Cancelled during the start: the child exists or soon will, and must not outlive this call.
        with suppress(OSError):
            await _stop(await spawning)
        raise


async def _stop(process: Process) -> None:
    if process.returncode is None:
        _signal_group(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE):
                await process.wait()
    if process.returncode is None:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
