"""The cost of the sandbox per child process: `python -m benchmarks.sandbox [--rounds 60]`.

Starts `ffmpeg -version` with resource limits, alternately with and without confinement. Prints the medians.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_worker.sandbox.confinement import Confinement
from gostream_worker.sandbox.process import ChildLimits, limited_child

_LIMITS = ChildLimits(memory=8 << 30, cpu_seconds=60, file_bytes=1 << 20)


async def _seconds(folder: Path, confinement: Confinement | None) -> float:
    begun = perf_counter()
    command = [get_ffmpeg_exe(), "-version"]
    async with limited_child(command, _LIMITS, folder=folder, confinement=confinement) as child:
        await child.communicate()
    return perf_counter() - begun


async def _run(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        confinement = Confinement(run=(get_ffmpeg_exe(),), write=(name,))
        times: dict[str, list[float]] = {"limits alone": [], "with sandbox": []}
        for _ in range(rounds):
            times["limits alone"].append(await _seconds(folder, None))
            times["with sandbox"].append(await _seconds(folder, confinement))
    for label, seconds in times.items():
        print(f"{label}: {median(seconds) * 1000:.1f} ms, median of {rounds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    asyncio.run(_run(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
