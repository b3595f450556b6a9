"""The rules that need a decoder: every variant decodes without an error, to the right number of pictures.

ffmpeg reads the segments from a pipe instead of a URI, because it would follow references that the checker
does not follow.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from gostream_client.errors import InvalidInputError
from gostream_conformance.errors import UnreadableError
from gostream_conformance.playlist.model import ByteRange, Variant
from gostream_conformance.report import Outcome, Report
from gostream_conformance.rules.rule import Finding, Rule, Severity
from gostream_conformance.tree.loader import Limits, cut
from gostream_conformance.tree.presentation import Kind, Presentation, Track
from gostream_conformance.tree.sources import Source, resolve

TAIL_BYTES = 4096
_NEEDED = frozenset({"master.parses", "media.parses", "master.uris-stay", "master.uris-answer"})
_DECODES = "every variant decodes without an error"
_FRAMES = "decoding yields duration × FRAME-RATE pictures"


@dataclass(frozen=True, slots=True)
class Decoded:
    """The result of decoding one playlist."""

    frames: int
    errors: str


def find_ffmpeg() -> str:
    """Returns FFMPEG_PATH, ffmpeg on the PATH, or the ffmpeg of imageio-ffmpeg. Raises InvalidInputError."""
    if program := os.environ.get("FFMPEG_PATH") or shutil.which("ffmpeg"):
        return program
    try:
        found: str = import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise InvalidInputError("--decode needs ffmpeg; install it or set FFMPEG_PATH") from None
    return found


async def decode(presentation: Presentation, report: Report, source: Source) -> tuple[Outcome, ...]:
    """Read every media playlist from `source` again, decode it, and check the pictures."""
    ffmpeg = find_ffmpeg()
    if why := _hindrance(presentation, report):
        skipped = (Finding(presentation.master_path, f"not decoded: {why}"),)
        return _outcome("whole.decodes", _DECODES, skipped), _outcome("whole.frames", _FRAMES, skipped)
    decoded = {
        track.path: await run_decoder(
            ffmpeg, _bytes(source, track), limit=_patience(track), form=_form(track)
        )
        for track in presentation.tracks.values()
        if track.kind is not Kind.IFRAMES
    }
    errors = tuple(Finding(path, result.errors) for path, result in decoded.items() if result.errors)
    counts = tuple(
        finding
        for variant, track in presentation.variant_tracks
        for finding in _count(variant, track, decoded[track.path].frames)
    )
    return _outcome("whole.decodes", _DECODES, errors), _outcome("whole.frames", _FRAMES, counts)


def _hindrance(presentation: Presentation, report: Report) -> str:
    """Returns the reason why the tree cannot be decoded, or an empty string."""
    if any(outcome.findings and outcome.rule.id in _NEEDED for outcome in report.outcomes):
        return "the playlists are broken"
    unsupported = (track.unsupported for track in presentation.tracks.values() if track.unsupported)
    return next((f"unsupported: {what}" for what in unsupported), "")


def _outcome(rule_id: str, says: str, findings: tuple[Finding, ...]) -> Outcome:
    return Outcome(Rule(rule_id, "gostream", Severity.MUST, says, lambda _: iter(findings)), findings)


def _count(variant: Variant, track: Track, frames: int) -> Iterator[Finding]:
    if not all(piece.measure for piece in track.pieces):
        return  # another rule reports it
    held = sum(video.frames for _, video in track.videos())
    if frames != held:
        yield Finding(track.path, f"{frames} pictures decoded, {held} in the segments")
    wanted = round((track.playlist.duration if track.playlist else 0) * (variant.frame_rate or 0))
    if abs(held - wanted) > 1:
        yield Finding(track.path, f"{held} pictures, duration × FRAME-RATE is {wanted}")


def _form(track: Track) -> str:
    """Returns ffmpeg's name for the format of the segments."""
    return "mp4" if any(measure.fragments for _, measure in track.measured()) else "mpegts"


def _patience(track: Track) -> float:
    """Returns the time limit of decoding in seconds: ten times the track's duration, at most a day."""
    return min(60 + 10 * (track.playlist.duration if track.playlist else 0), 86_400)


async def _bytes(source: Source, track: Track) -> AsyncIterator[bytes]:
    """Yield the bytes for the decoder: the segments in order, with each new EXT-X-MAP before them."""
    reader = _Reader(source, track.path)
    header: tuple[str, ByteRange | None] | None = None
    for segment in (piece.segment for piece in track.pieces):
        if segment.map and segment.map != header:
            yield await reader.read(*segment.map)
        header = segment.map
        yield await reader.read(segment.uri, segment.byte_range)


class _Reader:
    """Reads the resources of a playlist; reads a file once for consecutive parts."""

    def __init__(self, source: Source, playlist: str) -> None:
        self._source = source
        self._playlist = playlist
        self._path = ""
        self._body = b""

    async def read(self, uri: str, byte_range: ByteRange | None) -> bytes:
        """Returns the bytes of a URI. Raises UnreadableError."""
        path = resolve(self._playlist, uri)
        if path is None:
            raise UnreadableError(f"{uri} leaves the tree")
        if path != self._path:
            resource = await self._source.read(path, limit=Limits().segment_bytes)
            if resource.status != 200:
                raise UnreadableError(f"{path} answers {resource.status}")
            self._path, self._body = path, resource.body
        return cut(path, self._body, byte_range)


async def run_decoder(
    ffmpeg: str, stream: AsyncIterator[bytes], *, limit: float, form: str = "mpegts"
) -> Decoded:
    """Decode a stream of ffmpeg's format `form` within `limit` seconds."""
    process = await asyncio.create_subprocess_exec(
        *(ffmpeg, "-v", "error", "-protocol_whitelist", "pipe", "-f", form, "-i", "pipe:0"),
        *("-fps_mode", "passthrough", "-progress", "pipe:1", "-f", "null", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(_feed(process.stdin, stream))
        progress = group.create_task(_tail(process.stdout))
        errors_tail = group.create_task(_tail(process.stderr))
        try:
            async with asyncio.timeout(limit):
                await process.wait()
        except TimeoutError:
            feeding.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if feeding.cancelled():
        return Decoded(0, f"not decoded within {limit:.0f} s")
    frames = re.findall(rb"^frame=\s*(\d+)", progress.result(), re.MULTILINE)
    lines = [feeding.result(), *errors_tail.result().decode("utf-8", "replace").splitlines()]
    errors = [line for line in lines if line.strip()]
    if process.returncode and not errors:
        errors = [f"ffmpeg exited with {process.returncode}"]
    return Decoded(int(frames[-1]) if frames else 0, " / ".join(errors[:5]))


async def _feed(pipe: asyncio.StreamWriter | None, stream: AsyncIterator[bytes]) -> str:
    """Write the stream to ffmpeg. Returns the error if a segment cannot be read again."""
    assert pipe is not None  # noqa: S101 - piped
    try:
        with suppress(ConnectionError):  # ffmpeg exited early and logs the reason
            async for data in stream:
                pipe.write(data)
                await pipe.drain()
    except UnreadableError as error:
        return str(error)
    finally:
        pipe.close()
    return ""


async def _tail(pipe: asyncio.StreamReader | None) -> bytes:
    """Returns the end of the output, because ffmpeg logs without limit for a broken stream."""
    assert pipe is not None  # noqa: S101 - piped
    tail = b""
    while data := await pipe.read(TAIL_BYTES):
        tail = (tail + data)[-TAIL_BYTES:]
    return tail
