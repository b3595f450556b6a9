"""Sources to encode, and measurements with ffmpeg: CPU seconds, bytes, VMAF."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

#: Path of a real film, best 1280×720 at 25 frames/s. If the variable is unset, a noisy test picture is used.
REAL_FILM = Path(os.environ.get("GOSTREAM_REAL_FILM", ""))
_SYNTHETIC = "testsrc2=size=1280x720:rate=25,noise=alls=12:allf=t,gblur=sigma=1"
_TIMEOUT = 7200
_SUBSAMPLE = 3  # VMAF scores every third frame


def ffmpeg(*arguments: str, folder: Path | None = None) -> tuple[float, str]:
    """Runs ffmpeg. Returns (CPU seconds, standard error). Raises RuntimeError if it fails."""
    before = os.times()
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-y", *arguments]
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=_TIMEOUT, cwd=folder
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, done.stderr


def make_sky(folder: Path) -> Path:
    """Makes 6 s of a slow dusk with faint camera noise, in which banding shows first."""
    path = folder / "sky.mkv"
    gradient = "gradients=size=1280x720:rate=25:duration=6:n=2:c0=0x101830:c1=0x4060a0:speed=0.002:seed=1"
    noise = "format=yuv444p16,noise=alls=2:allf=t,format=yuv420p"
    ffmpeg("-v", "error", "-f", "lavfi", "-i", f"{gradient},{noise}", "-c:v", "ffv1", str(path))
    return path


def make_source(folder: Path, seconds: int, *, height: int, fit: bool) -> Path:
    """Loops the film for `seconds`: H.264 that can be stream-copied if `fit`, else MPEG-4 Part 2."""
    path = folder / f"{'fit' if fit else 'unfit'}-{seconds}.mp4"
    if REAL_FILM.is_file():
        inputs = ["-stream_loop", "-1", "-i", str(REAL_FILM), "-map", "0:v", "-map", "0:a"]
    else:
        inputs = ["-f", "lavfi", "-i", _SYNTHETIC, "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    gop = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-flags", "+cgop"]
    video = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", *gop]
    video = video if fit else ["-c:v", "mpeg4", "-q:v", "2"]
    # Constant frame rate across loops, because VMAF compares frames by number.
    scale = ["-vf", f"fps=25,scale=-2:{height}:flags=lanczos"]
    sound = ["-c:a", "aac", "-ac", "2", "-ar", "48000", "-b:a", "128k"]
    ffmpeg("-v", "error", *inputs, "-t", str(seconds), *scale, *video, *sound, str(path))
    return path


@dataclass(frozen=True)
class Likeness:
    """Quality relative to the source: `vmaf` 0–100, `bands` is CAMBI (0 = none, 24 = disturbing)."""

    vmaf: float
    bands: float


def likeness(encoded: str | Path, source: Path, *, size: tuple[int, int]) -> Likeness:
    """Scores the encode with libvmaf at the source's size."""
    width, height = size
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "scores.json"
        graph = (
            f"[0:v]scale={width}:{height}:flags=bicubic,format=yuv420p,settb=AVTB,setpts=N/25/TB[encoded];"
            "[1:v]format=yuv420p,settb=AVTB,setpts=N/25/TB[source];"
            f"[encoded][source]libvmaf=n_threads=2:n_subsample={_SUBSAMPLE}:feature=name=cambi:"
            f"log_fmt=json:log_path={log}"
        )
        inputs = ["-i", str(encoded), "-i", str(source)]
        ffmpeg("-v", "error", *inputs, "-lavfi", graph, "-an", "-f", "null", "-")
        pooled = json.loads(log.read_text())["pooled_metrics"]
    return Likeness(pooled["vmaf"]["mean"], pooled["cambi"]["mean"])


def below(folder: Path) -> int:
    """Total bytes of the segments below the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.ts"))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table with right-aligned figures."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def circumstances(command: str) -> str:
    """Command and machine load, for the report."""
    load = json.dumps([round(load, 1) for load in os.getloadavg()])
    return f"Command: `{command}`. {os.cpu_count()} processors, load averages at the end {load}."
