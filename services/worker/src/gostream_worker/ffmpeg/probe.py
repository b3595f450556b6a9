"""What is this file? Asked in a limited child, because the answer is parsed from a stranger's bytes."""

import asyncio
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.ffmpeg.process import ChildLimits, limited_child
from gostream_worker.media import Probe

#: Seconds that a probe may take, and of CPU.
PROBE_TIMEOUT = 60.0
_MAX_ANSWER = 2 << 20
_MEMORY = 2 << 30
_probe = TypeAdapter(Probe)


async def probe_source(url: str, *, folder: Path, patience: float = 0.0) -> Probe:
    """Look into the source, from the folder. Raises ProcessingFailedError; nothing in it harms this process.

    `patience`: seconds that it may take to arrive, beside those of the probe itself.
    """
    command = [sys.executable, "-I", "-m", "gostream_worker.ffmpeg.probe_child", url]
    limits = ChildLimits(memory=_MEMORY, cpu_seconds=int(PROBE_TIMEOUT), file_bytes=1)
    timeout = PROBE_TIMEOUT + patience
    try:
        async with (
            asyncio.timeout(timeout),
            limited_child(command, limits, folder=folder) as child,
        ):
            assert child.stdout is not None and child.stderr is not None  # noqa: S101, PT018 - piped
            answer, complaint = await asyncio.gather(_read(child.stdout), _read(child.stderr))
            await child.wait()
    except TimeoutError:
        raise ProcessingFailedError(Code.RESOURCE_LIMIT, f"not probed in {timeout:.0f} s") from None
    return _read_answer(answer, complaint.decode("utf-8", "replace")[-4096:], child.returncode or 0)


async def _read(stream: asyncio.StreamReader) -> bytes:
    """To the end, or as much as an answer may have."""
    data = bytearray()
    while len(data) < _MAX_ANSWER and (chunk := await stream.read(_MAX_ANSWER)):
        data += chunk
    return bytes(data[:_MAX_ANSWER])


def _read_answer(answer: bytes, complaint: str, returncode: int) -> Probe:
    code, separator, body = answer.partition(b"\n")
    if returncode == 0 and separator:
        if code == b"OK":
            return _valid(body, complaint)
        raise ProcessingFailedError(Code(code.decode()), body.decode("utf-8", "replace"), log_tail=complaint)
    # Ended by a limit or by its own crash: a file that does this would do it again.
    raise ProcessingFailedError(Code.RESOURCE_LIMIT, f"the probe ended with {returncode}", log_tail=complaint)


def _valid(body: bytes, complaint: str) -> Probe:
    try:
        return _probe.validate_json(body)
    except ValidationError as error:
        raise ProcessingFailedError(Code.INTERNAL, str(error), log_tail=complaint) from error
