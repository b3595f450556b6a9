"""The long run: `python -m tests.proof --seeds 100000`, or the replay of one: `--seed 17`."""

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count

import structlog

from tests.proof.checker import Violation
from tests.proof.simulate import Summary, simulate

CHUNK = 50


def run(seeds: Iterable[int]) -> tuple[list[Summary], list[str]]:
    """Summaries of the seeds that hold, and what the others violate."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # histories are not logs
    held, broken = [], []
    for seed in seeds:
        try:
            held.append(simulate(seed))
        except Violation as violation:
            broken.append(f"seed {seed}: {violation}")
    return held, broken


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default %(default)s)")
    options = parser.parse_args()
    first, count = (options.first, options.seeds) if options.seed is None else (options.seed, 1)
    begun = time.monotonic()
    chunks = [range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]
    reads = rejected = 0
    broken: list[str] = []
    with ProcessPoolExecutor(max_workers=min(cpu_count() or 1, len(chunks))) as workers:
        for held, failures in workers.map(run, chunks):
            reads += sum(each.reads for each in held)
            rejected += sum(each.rejected for each in held)
            broken += failures
            for failure in failures:
                print(failure, flush=True)
    seconds = time.monotonic() - begun
    print(
        f"{count} seeds, {reads} reads checked, {rejected} stale fills rejected, {len(broken)} violations; "
        f"{seconds:.0f} s, {count / seconds:.1f} seeds/s"
    )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
