"""Plays a publication with ffmpeg's HLS demuxer and inspects its segments."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_conformance.check import check
from gostream_conformance.rules.rule import Severity
from gostream_conformance.tree.sources import DirectorySource


@dataclass(frozen=True)
class Played:
    """Frames and errors of one played variant."""

    frames: int
    complaints: str


def play(master: Path, variant: int) -> Played:
    """Decodes picture and sound of one variant to the end, and reads its texts."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "warning", "-i", str(master), "-map", f"0:p:{variant}"]
    done = subprocess.run(
        [*command, "-progress", "pipe:1", "-c:s", "copy", "-f", "null", "-"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    frames = re.findall(r"^frame=\s*(\d+)", done.stdout, re.MULTILINE)
    return Played(frames=int(frames[-1]), complaints=done.stderr)


async def broken_rules(master: Path) -> list[str]:
    """Findings of the conformance checker, both musts and shoulds."""
    report = await check(DirectorySource(master.parent))
    return [
        f"{outcome.rule.id}: {outcome.findings[0].where} {outcome.findings[0].why}"
        for severity in Severity
        for outcome in report.broken(severity)
    ]


def pixel_format(segment: Path) -> str:
    """Pixel format as the decoder reports it; full range has a separate name."""
    with av.open(str(segment)) as container:
        return str(container.streams.video[0].pix_fmt)


def variants(master: str) -> list[str]:
    """The variants' URIs, in order."""
    return [line for line in master.splitlines() if line and not line.startswith("#")]


def attributes(master: str, name: str) -> list[str]:
    """An attribute of each variant, in order."""
    lines = [line for line in master.splitlines() if line.startswith("#EXT-X-STREAM-INF:")]
    found = [re.search(rf'[:,]{name}=("[^"]*"|[^,]*)', line) for line in lines]
    return [match[1].strip('"') for match in found if match]


def durations(playlist: str) -> list[float]:
    """EXTINF of each segment."""
    return [float(value) for value in re.findall(r"#EXTINF:([\d.]+)", playlist)]


def average_color(picture: Path, part: str = "null") -> tuple[int, int, int]:
    """Average colour of the first frame, or of the part that a filter keeps."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(picture)]
    scale = ["-vf", f"{part},scale=1:1:flags=area,format=rgb24", "-frames:v", "1", "-f", "rawvideo", "-"]
    done = subprocess.run([*command, *scale], capture_output=True, timeout=60, check=True)
    return done.stdout[0], done.stdout[1], done.stdout[2]
