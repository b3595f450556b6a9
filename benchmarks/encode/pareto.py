"""Which preset and CRF: CPU, bytes and VMAF of one rung. `python -m benchmarks.encode.pareto --help`."""

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path

from .media import REAL_FILM, circumstances, ffmpeg, make_source, table, vmaf

PRESETS = ("superfast", "veryfast", "faster", "fast", "medium")
CRFS = (20, 23, 26)


def measure(source: Path, folder: Path, preset: str, crf: int, height: int) -> tuple[float, int, float]:
    """CPU seconds, bytes and VMAF, with the worker's GOPs."""
    path = folder / "encoded.mp4"
    gop = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-x264-params", "open-gop=0"]
    coding = ["-c:v", "libx264", "-profile:v", "high", "-preset", preset, "-crf", str(crf), *gop]
    scale = ["-vf", f"scale=-2:{height}:flags=bicubic,format=yuv420p"]
    cost, _ = ffmpeg("-v", "error", "-i", str(source), "-an", *scale, *coding, str(path))
    return cost.cpu, path.stat().st_size, vmaf(path, source, size=(1280, 720))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=720, choices=(720, 360))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        source = REAL_FILM if REAL_FILM.exists() else make_source(Path(name), 5, height=720, fit=False)
        for preset, crf in product(PRESETS, CRFS):
            cpu, size, score = measure(source, Path(name), preset, crf, options.height)
            rows.append([f"{preset}, CRF {crf}", f"{cpu:.2f}", f"{size / 1000:.0f}", f"{score:.2f}"])
            sys.stderr.write(f"{rows[-1]}\n")
    text = table(["setting", "CPU s", "kB", "VMAF"], rows)
    command = f"python -m benchmarks.encode.pareto --height {options.height}"
    sys.stdout.write(f"{text}\n\n{circumstances(command)}\n")


if __name__ == "__main__":
    main()
