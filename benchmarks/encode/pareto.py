"""Which preset and CRF: CPU, bytes and VMAF of one rung. `python -m benchmarks.encode.pareto --help`."""

import argparse
import shlex
import sys
import tempfile
from itertools import product
from pathlib import Path

from .media import REAL_FILM, circumstances, ffmpeg, make_source, table, vmaf

PRESETS = ("superfast", "veryfast", "faster", "fast", "medium")
CRFS = (20.0, 23.0, 26.0)


def measure(source: Path, folder: Path, setting: str, crf: float, height: int) -> tuple[float, int, float]:
    """CPU seconds, bytes and VMAF, with the worker's GOPs. `setting` is a preset, or preset:name=value:…"""
    preset, _, tuning = setting.partition(":")
    parameters = f"open-gop=0:{tuning}".rstrip(":")
    path = folder / "encoded.mp4"
    gop = ["-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-x264-params", parameters]
    coding = ["-c:v", "libx264", "-profile:v", "high", "-preset", preset, "-crf", str(crf), *gop]
    scale = ["-vf", f"scale=-2:{height}:flags=bicubic,format=yuv420p"]
    cost, _ = ffmpeg("-v", "error", "-i", str(source), "-an", *scale, *coding, str(path))
    return cost.cpu, path.stat().st_size, vmaf(path, source, size=(1280, 720))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=720, choices=(720, 360))
    parser.add_argument("--setting", nargs="+", default=PRESETS, help="presets, or preset:name=value:…")
    parser.add_argument("--crf", type=float, nargs="+", default=CRFS)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        source = REAL_FILM if REAL_FILM.exists() else make_source(Path(name), 5, height=720, fit=False)
        for setting, crf in product(options.setting, options.crf):
            cpu, size, score = measure(source, Path(name), setting, crf, options.height)
            rows.append([f"{setting}, CRF {crf:g}", f"{cpu:.2f}", f"{size / 1000:.0f}", f"{score:.2f}"])
            sys.stderr.write(f"{rows[-1]}\n")
    text = table(["setting", "CPU s", "kB", "VMAF"], rows)
    command = shlex.join(["python", "-m", "benchmarks.encode.pareto", *sys.argv[1:]])
    sys.stdout.write(f"{text}\n\n{circumstances(command)}\n")


if __name__ == "__main__":
    main()
