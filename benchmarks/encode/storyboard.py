"""The cost of the storyboard: the worker's command with and without it, run alternately.

Prints CPU seconds of the encoder and the extra cost of the storyboard, the median of the ratios per round.
Sources named unfit are encoded completely; the top rung of those named fit is copied.
"""

import argparse
import asyncio
import shlex
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.probe.probe import probe_source

from .ffmpeg_runs import Runs, bare_command
from .media import circumstances, make_source, table
from .turns import Contender, take_turns

_TURN = 1.0
_GRAPH, _OUTPUT = "-filter_complex", "[storyboard]"


def without_storyboard(arguments: Sequence[str]) -> list[str]:
    """Removes the storyboard, which is the last output and the last filter chains, from the command."""
    kept = list(arguments[: len(arguments) - 1 - list(reversed(arguments)).index(_OUTPUT) - 1])
    graph = kept.index(_GRAPH) + 1
    chains = kept[graph].split(";")
    first = next(number for number, chain in enumerate(chains) if chain.startswith("[b]"))
    kept[graph] = ";".join([*chains[:first], "[b]nullsink"])
    return kept


def runs(plan: Plan, source: Path, folder: Path, *, storyboard: bool) -> Runs:
    """One encode in the folder."""
    folder.mkdir()
    [arguments] = bare_command(source, folder, plan)
    return Runs([arguments if storyboard else without_storyboard(arguments)], folder)


async def compare(source: Path, rounds: int) -> list[object]:
    """Runs both commands alternately, so that other load on the machine affects them equally."""
    plan = make_plan(await probe_source(f"file:{source}", folder=source.parent), DEFAULT_PROFILE)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folders = {way: Path(name) / str(way) for way in taken}
            both = {way: runs(plan, source, folders[way], storyboard=way) for way in taken}
            contenders = [Contender(way.run, partial(getattr, way, "process")) for way in both.values()]
            await take_turns(contenders[:: 1 if number % 2 else -1], seconds=_TURN)
            if [(folder / "storyboard.jpg").exists() for folder in folders.values()] != list(taken):
                raise RuntimeError("unexpected storyboard output")
        for way, encode in both.items():
            taken[way].append(encode.cpu)
        sys.stderr.write(f"{source.stem}: {taken[True][-1]:.2f} s with, {taken[False][-1]:.2f} s without\n")
    more = [100 * (a / b - 1) for a, b in zip(taken[True], taken[False], strict=True)]
    figures = [f"{median(taken[way]):.2f}" for way in (True, False)]
    return [source.stem, *figures, f"{median(more):+.1f} %", f"{min(more):+.1f} to {max(more):+.1f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode.storyboard", description=__doc__)
    parser.add_argument("--seconds", type=int, default=40, help="length of the sources")
    parser.add_argument("--height", type=int, default=720, help="height of the sources")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = [
            make_source(Path(name), options.seconds, height=options.height, fit=fit) for fit in (False, True)
        ]
        rows = [asyncio.run(compare(source, options.rounds)) for source in made]
    header = ["source", "CPU s with", "CPU s without", "more, median", "single rounds"]
    command = shlex.join(["python", "-m", "benchmarks.encode.storyboard", *sys.argv[1:]])
    sys.stdout.write(f"{table(header, rows)}\n\n{circumstances(command)}\n")


if __name__ == "__main__":
    main()
