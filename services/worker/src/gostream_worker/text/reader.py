"""Reads the texts of a film in a limited child, because parsing untrusted text is dangerous."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gostream_shared.domain.tracks import TrackCode
from gostream_worker.sandbox.process import ChildLimits, limited_child
from gostream_worker.text.cues import Cue

_log = structlog.stdlib.get_logger("gostream.transcode")

#: Limits of the child: seconds of time and of CPU, memory, and the bytes of its answer.
_TIMEOUT = 60.0
_MEMORY = 2 << 30
_MAX_ANSWER = 48 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file of the work folder with one text track. `codec`: ffmpeg's name; `language`: BCP 47 or ""."""

    file: str
    codec: str
    language: str


#: The cues of a text, or why it has none.
Read = tuple[Cue, ...] | TrackCode


async def read_texts(
    files: Sequence[TextFile], folder: Path, *, sandbox_required: bool = False
) -> list[Read]:
    """Returns the cues of each file. A text that cannot be read never fails a film: it gets a code."""
    if not files:
        return []
    task = {
        "sandbox": "required" if sandbox_required else "best-effort",
        "folder": str(folder),
        "texts": [{"file": f.file, "codec": f.codec, "language": f.language} for f in files],
    }
    command = [sys.executable, "-I", "-m", "gostream_worker.text.child"]
    limits = ChildLimits(memory=_MEMORY, cpu_seconds=int(_TIMEOUT), file_bytes=1)
    try:
        async with (
            asyncio.timeout(_TIMEOUT),
            limited_child(command, limits, folder=folder, stdin=PIPE) as child,
        ):
            answer, complaint, _ = await asyncio.gather(
                _read_all(child.stdout), _read_all(child.stderr), _tell(child.stdin, json.dumps(task))
            )
    except TimeoutError:
        answer, complaint = b"", b"timed out"
    found = list(map(_read, answer.split(b"\n")[:-1]))
    if len(found) < len(files):
        said = complaint.decode("utf-8", "replace")[-500:]
        _log.warning("subtitles unread", read=len(found), of=len(files), error=said)
    missing: list[Read] = [TrackCode.UNREADABLE_SUBTITLES] * (len(files) - len(found))
    return [*found, *missing]


async def _tell(stream: asyncio.StreamWriter | None, text: str) -> None:
    assert stream is not None  # noqa: S101 - piped
    stream.write(text.encode())
    with suppress(ConnectionError):  # the child has died, and answers nothing
        await stream.drain()
    stream.close()


async def _read_all(stream: asyncio.StreamReader | None) -> bytes:
    """Reads to the end, at most _MAX_ANSWER bytes."""
    assert stream is not None  # noqa: S101 - piped
    data = bytearray()
    while len(data) < _MAX_ANSWER and (chunk := await stream.read(1 << 20)):
        data += chunk
    return bytes(data)


def _read(line: bytes) -> Read:
    try:
        said: Sequence[tuple[int, int, str]] | str = json.loads(line)
        if isinstance(said, str):
            return TrackCode(said)
        return tuple(Cue(int(start), int(end), str(text)) for start, end, text in said)
    except (ValueError, TypeError):
        return TrackCode.UNREADABLE_SUBTITLES
