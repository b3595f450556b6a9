"""What the storyboard costs: the worker's own command with it and without it, in turn.

CPU seconds of the encoder, and how much more it takes with the storyboard: the median of the rounds' ratios.
Sources called unfit are encoded whole, of those called fit the top rung is copied.
"""

import argparse
import asyncio
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from gostream_worker.ffmpeg.argv import encode_arguments
from gostream_worker.ffmpeg.probe import probe_source
from gostream_worker.hls import AUDIO
from gostream_worker.ladder import DEFAULT_PROFILE, Plan, make_plan

from .media import circumstances, ffmpeg, make_source, table

_GRAPH, _OUTPUT = "-filter_complex", "[storyboard]"


def without_storyboard(arguments: Sequence[str]) -> list[str]:
    """The same command, in which nobody asks for the sheet: the last output, and the last chains."""
    kept = list(arguments[: len(arguments) - 1 - list(reversed(arguments)).index(_OUTPUT) - 1])
    graph = kept.index(_GRAPH) + 1
    chains = kept[graph].split(";")
    first = next(number for number, chain in enumerate(chains) if chain.startswith("[b]"))
    kept[graph] = ";".join([*chains[:first], "[b]nullsink"])
    return kept


def run(plan: Plan, source: Path, *, storyboard: bool) -> float:
    """CPU seconds of one encode."""
    with tempfile.TemporaryDirectory() as name:
        for rendition in [*(rung.name for rung in plan.rungs), AUDIO]:
            (Path(name) / rendition).mkdir()
        arguments = encode_arguments(plan, source=f"file:{source}", folder=".")
        cpu, _ = ffmpeg(*(arguments if storyboard else without_storyboard(arguments)), folder=Path(name))
        if (Path(name) / "storyboard.jpg").exists() != storyboard:
            raise RuntimeError("this command does not do what it is to measure")
    return cpu


def compare(source: Path, rounds: int) -> list[object]:
    """A B, B A, A B…: what else the machine does falls on both alike."""
    plan = make_plan(asyncio.run(probe_source(f"file:{source}", folder=source.parent)), DEFAULT_PROFILE)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for storyboard in (number % 2 == 0, number % 2 == 1):
            taken[storyboard].append(run(plan, source, storyboard=storyboard))
        sys.stderr.write(f"{source.stem}: {taken[True][-1]:.2f} s with, {taken[False][-1]:.2f} s without\n")
    more = [100 * (a / b - 1) for a, b in zip(taken[True], taken[False], strict=True)]
    figures = [f"{median(taken[way]):.2f}" for way in (True, False)]
    return [source.stem, *figures, f"{median(more):+.1f} %", f"{min(more):+.1f} to {max(more):+.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode.storyboard", description=__doc__)
    parser.add_argument("--seconds", type=int, default=40, help="of the sources")
    parser.add_argument("--height", type=int, default=720, help="of the sources")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = [
            make_source(Path(name), options.seconds, height=options.height, fit=fit) for fit in (False, True)
        ]
        rows = [compare(source, options.rounds) for source in made]
    header = ["source", "CPU s with", "CPU s without", "more, median", "single rounds"]
    command = shlex.join(["python", "-m", "benchmarks.encode.storyboard", *sys.argv[1:]])
    sys.stdout.write(f"{table(header, rows)}\n\n{circumstances(command)}\n")


if __name__ == "__main__":
    main()
