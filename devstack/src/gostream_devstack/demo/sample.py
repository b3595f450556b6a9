"""The video of the demonstration, unless the user has one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe
from rich.console import Console

from gostream_devstack.errors import StackError


@contextmanager
def sample_clip(folder: Path, console: Console) -> Iterator[Path]:
    """Yields a file of 12 s of moving 1080p and a tone, made by ffmpeg and removed afterwards.

    Raises StackError.
    """
    path = folder / "sample-1080p.mp4"
    console.print("Making a sample of 12 s, 1080p, with sound …")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30:duration=12")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=12")
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest")
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *picture, *sound, *coding, str(path)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
    if made.returncode:
        raise StackError(f"ffmpeg could not make the sample: {made.stderr.strip()}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
