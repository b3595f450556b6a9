"""Generates small media files with ffmpeg and patches their bytes."""

import functools
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

#: Writes one file into the given folder. Returns its path.
Recipe = Callable[[Path], Path]

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "64k")


def ffmpeg(*arguments: str) -> None:
    """Runs ffmpeg and asserts its success."""
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-2000:]


def ffmpeg_says(*arguments: str) -> str:
    """What a run to a good end reports of the media."""
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-y", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=True).stderr


def picture(
    size: str = "320x180", seconds: float = 2, fps: str = "25", pattern: str = "testsrc2"
) -> list[str]:
    return ["-f", "lavfi", "-i", f"{pattern}=size={size}:rate={fps}:duration={seconds}"]


def sound(seconds: float = 2, rate: int = 48000, layout: str = "stereo") -> list[str]:
    tone = f"sine=duration={seconds}:sample_rate={rate},aformat=channel_layouts={layout}"
    return ["-f", "lavfi", "-i", tone]


def make(path: Path, *inputs: Sequence[str], codecs: Sequence[str] = (*X264, *AAC)) -> Path:
    """Encodes the inputs into the container that the path's suffix names."""
    ffmpeg(*(word for part in inputs for word in part), *codecs, str(path))
    return path


def remux(source: Path, path: Path, *options: str) -> Path:
    """Copies the streams into another container or with other options."""
    ffmpeg("-i", str(source), "-map", "0", "-c", "copy", *options, str(path))
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@functools.cache
def _made(recipe: Recipe, folder: Path) -> Path:
    own = folder / recipe.__name__
    own.mkdir()
    return recipe(own)


class Kitchen:
    """Makes each file once, in a separate folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, recipe: Recipe) -> Path:
        return _made(recipe, self._folder)
