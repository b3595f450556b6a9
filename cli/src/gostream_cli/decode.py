"""The rules only a decoder can judge: every variant decodes without an error, to the right pictures."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from gostream_cli.errors import UsageError
from gostream_shared.conformance.playlist import Variant
from gostream_shared.conformance.presentation import Kind, Presentation, Track
from gostream_shared.conformance.report import Outcome, Report
from gostream_shared.conformance.rules.rule import Finding, Rule, Severity

ERROR_BYTES = 4096
_SAFE_FIRST = frozenset({"master.parses", "media.parses", "master.uris-stay", "master.uris-answer"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """What ffmpeg made of one playlist."""

    frames: int
    errors: str


def find_ffmpeg() -> str:
    """FFMPEG_PATH, or ffmpeg on the PATH, or the one imageio-ffmpeg brings. Raises UsageError."""
    if program := os.environ.get("FFMPEG_PATH") or shutil.which("ffmpeg"):
        return program
    try:
        found: str = import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise UsageError("--decode needs ffmpeg; install it or set FFMPEG_PATH") from None
    return found


async def decode(presentation: Presentation, report: Report, location: str) -> tuple[Outcome, ...]:
    """Decode every media playlist below `location` and judge what came out.

    Nothing is decoded when the playlists are broken or point outside: ffmpeg would follow them.
    """
    ffmpeg = find_ffmpeg()
    if any(outcome.findings and outcome.rule.id in _SAFE_FIRST for outcome in report.outcomes):
        skipped = (Finding(presentation.master_path, "not tried: the playlists are broken"),)
        return (Outcome(_rule("whole.decodes", "every variant decodes without an error", skipped), skipped),)
    decoded = {
        track.path: await _run(ffmpeg, location + track.path)
        for track in presentation.tracks.values()
        if track.kind is not Kind.IFRAMES
    }
    errors = tuple(Finding(path, result.errors) for path, result in decoded.items() if result.errors)
    counts = tuple(
        finding
        for variant, track in presentation.variant_tracks
        for finding in _count(variant, track, decoded[track.path].frames)
    )
    return (
        Outcome(_rule("whole.decodes", "every variant decodes without an error", errors), errors),
        Outcome(_rule("whole.frames", "decoding yields duration × FRAME-RATE pictures", counts), counts),
    )


def _rule(rule_id: str, says: str, findings: tuple[Finding, ...]) -> Rule:
    return Rule(rule_id, "gostream", Severity.MUST, says, lambda _: iter(findings))


def _count(variant: Variant, track: Track, frames: int) -> Iterator[Finding]:
    if not all(piece.measure for piece in track.pieces):
        return  # another rule says so
    held = sum(video.frames for _, video in track.videos())
    if frames != held:
        yield Finding(track.path, f"{frames} pictures decoded, {held} in the segments")
    wanted = round((track.playlist.duration if track.playlist else 0) * (variant.frame_rate or 0))
    if abs(held - wanted) > 1:
        yield Finding(track.path, f"{held} pictures, duration × FRAME-RATE is {wanted}")


async def _run(ffmpeg: str, playlist: str) -> Decoded:
    protocols = "http,https,tcp,tls" if playlist.startswith("http") else "file"
    arguments = ("-nostdin", "-v", "error", "-protocol_whitelist", protocols, "-i", playlist)
    process = await asyncio.create_subprocess_exec(
        *(ffmpeg, *arguments, "-fps_mode", "passthrough", "-progress", "pipe:1", "-f", "null", "-"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        progress, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    frames = re.findall(rb"^frame=\s*(\d+)", progress, re.MULTILINE)
    errors = said[-ERROR_BYTES:].decode("utf-8", "replace").strip()
    if process.returncode and not errors:
        errors = f"ffmpeg exited with {process.returncode}"
    return Decoded(int(frames[-1]) if frames else 0, " / ".join(errors.splitlines()[:5]))
