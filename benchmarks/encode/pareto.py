"""Compares presets and CRFs: CPU, bytes, VMAF and bands. `python -m benchmarks.encode.pareto --help`."""

import argparse
import shlex
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from .media import REAL_FILM, Likeness, circumstances, ffmpeg, likeness, make_sky, make_source, table

PRESETS = ("superfast", "veryfast", "faster", "fast", "medium")
CRFS = (20.0, 23.0, 26.0)


@dataclass(frozen=True)
class Rung:
    """The encode's input: 16:9 at 25 frames/s, scaled from `source_height` to `height`."""

    source: Path
    source_height: int
    height: int
    scaler: str


def measure(rung: Rung, folder: Path, setting: str, crf: float) -> tuple[float, int, Likeness]:
    """CPU seconds, bytes and quality with the worker's GOPs. `setting` is a preset, or preset:name=value:…"""
    preset, _, tuning = setting.partition(":")
    parameters = f"open-gop=0:{tuning}".rstrip(":")
    path = folder / "encoded.mp4"
    gop = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-x264-params", parameters]
    coding = ["-c:v", "libx264", "-profile:v", "high", "-preset", preset, "-crf", str(crf), *gop]
    scale = ["-vf", f"scale=-2:{rung.height}:flags={rung.scaler},format=yuv420p"]
    cpu, _ = ffmpeg("-v", "error", "-i", str(rung.source), "-an", *scale, *coding, str(path))
    size = (rung.source_height * 16 // 9, rung.source_height)
    return cpu, path.stat().st_size, likeness(path, rung.source, size=size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=720, choices=(1080, 720, 360))
    parser.add_argument(
        "--source-height", type=int, default=720, choices=(1080, 720), help="1080: the film is enlarged"
    )
    parser.add_argument("--scaler", default="bicubic", choices=("bicubic", "lanczos"))
    parser.add_argument("--seconds", type=int, help="loop and re-encode the film to this length")
    parser.add_argument(
        "--sky", action="store_true", help="use a picture prone to banding instead of the film"
    )
    parser.add_argument("--setting", nargs="+", default=PRESETS, help="presets, or preset:name=value:…")
    parser.add_argument("--crf", type=float, nargs="+", default=CRFS)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        source = _source(Path(name), options)
        rung = Rung(source, options.source_height, options.height, options.scaler)
        for setting, crf in product(options.setting, options.crf):
            cpu, size, looks = measure(rung, Path(name), setting, crf)
            figures = f"{cpu:.2f}", f"{size / 1000:.0f}", f"{looks.vmaf:.2f}", f"{looks.bands:.2f}"
            rows.append([f"{setting}, CRF {crf:g}", *figures])
            sys.stderr.write(f"{rows[-1]}\n")
    text = table(["setting", "CPU s", "kB", "VMAF", "bands"], rows)
    command = shlex.join(["python", "-m", "benchmarks.encode.pareto", *sys.argv[1:]])
    sys.stdout.write(f"{text}\n\n{circumstances(command)}\n")


def _source(folder: Path, options: argparse.Namespace) -> Path:
    if options.sky:
        return make_sky(folder)
    if options.seconds is None and options.source_height == 720 and REAL_FILM.is_file():
        return REAL_FILM
    return make_source(folder, options.seconds or 5, height=options.source_height, fit=False)


if __name__ == "__main__":
    main()
