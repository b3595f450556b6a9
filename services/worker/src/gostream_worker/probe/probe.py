"""Probes a source in a limited child process, because parsing untrusted bytes is dangerous."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ffmpeg_log import LIMIT_SIGNALS
from gostream_worker.probe.model import Probe
from gostream_worker.sandbox.process import ChildLimits, limited_child

#: Limit of a probe: seconds of time, and of CPU.
PROBE_TIMEOUT = 60.0
_MAX_ANSWER = 2 << 20
#: Limits of a probing child.
PROBE_LIMITS = ChildLimits(memory=2 << 30, cpu_seconds=int(PROBE_TIMEOUT), file_bytes=1)
_probe = TypeAdapter(Probe)


@asynccontextmanager
async def starting_probe(*, sandbox_required: bool = False) -> AsyncIterator["StartedProbe"]:
    """Starts a child that waits for its source. The child has ended when the block ends.

    It confines itself to the source's folder or port before it reads the source.
    """
    command = [sys.executable, "-I", "-m", "gostream_worker.probe.child"]
    async with limited_child(command, PROBE_LIMITS, folder=Path("/"), stdin=PIPE) as child:
        yield StartedProbe(child, sandbox_required=sandbox_required)


#: Opens a probe for the pipeline.
StartProbe = Callable[[], AbstractAsyncContextManager["StartedProbe"]]


class Child(Protocol):
    """A process with three streams, as asyncio has it."""

    @property
    def stdin(self) -> asyncio.StreamWriter | None: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    @property
    def stderr(self) -> asyncio.StreamReader | None: ...
    async def wait(self) -> int: ...


class StartedProbe:
    """A started child that probes one source."""

    def __init__(self, child: Child, *, sandbox_required: bool = False) -> None:
        self._child = child
        self._sandbox = "required" if sandbox_required else "best-effort"

    async def inspect(
        self, url: str, *, folder: Path, patience: float = 0.0, reads_whole: bool = False
    ) -> Probe:
        """Probes the source. Raises ProcessingFailedError; the source cannot harm this process.

        `patience`: additional seconds that the source may take to arrive. `reads_whole`: a broadcast is read
        to its end even if it is streamed.
        """
        timeout = PROBE_TIMEOUT + patience
        try:
            async with asyncio.timeout(timeout):
                answer, complaint, _ = await asyncio.gather(
                    _read(self._child.stdout),
                    _read(self._child.stderr),
                    _tell(
                        self._child.stdin,
                        f"{self._sandbox}\n{patience if reads_whole else 0.0}\n{folder}\n{url}",
                    ),
                )
                returncode = await self._child.wait()
        except TimeoutError:
            raise ProcessingFailedError(Code.INTERNAL, f"not probed in {timeout:.0f} s") from None
        return _read_answer(answer, complaint.decode("utf-8", "replace")[-4096:], returncode)


async def probe_source(url: str, *, folder: Path, patience: float = 0.0) -> Probe:
    """Starts a child and probes the source with it."""
    async with starting_probe() as probe:
        return await probe.inspect(url, folder=folder, patience=patience)


async def _tell(stream: asyncio.StreamWriter | None, text: str) -> None:
    assert stream is not None  # noqa: S101 - piped
    stream.write(os.fsencode(text))
    with suppress(ConnectionError):  # the child has died, which its exit code reports
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """Reads to the end, at most _MAX_ANSWER bytes."""
    assert stream is not None  # noqa: S101 - piped
    data = bytearray()
    while len(data) < _MAX_ANSWER and (chunk := await stream.read(_MAX_ANSWER)):
        data += chunk
    return bytes(data[:_MAX_ANSWER])


def _read_answer(answer: bytes, complaint: str, returncode: int) -> Probe:
    said, separator, body = answer.partition(b"\n")
    if returncode == 0 and separator:
        if said == b"OK":
            return _valid(body, complaint)
        raise ProcessingFailedError(Code(said.decode()), body.decode("utf-8", "replace"), log_tail=complaint)
    # A crash is a defect of the probe or its libraries, even if the file triggers it.
    code = Code.RESOURCE_LIMIT if returncode in LIMIT_SIGNALS else Code.INTERNAL
    raise ProcessingFailedError(code, f"the probe ended with {returncode}", log_tail=complaint)


def _valid(body: bytes, complaint: str) -> Probe:
    try:
        return _probe.validate_json(body)
    except ValidationError as error:
        raise ProcessingFailedError(Code.INTERNAL, str(error), log_tail=complaint) from error
