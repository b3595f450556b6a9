"""The long run: `python -m tests.proof --seeds 100000`, or the replay of one: `--seed 17`."""

import argparse
import sys

from tests.proof.long_run import Tally, run, run_everywhere


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default %(default)s)")
    options = parser.parse_args()
    if options.seed is not None:
        tally = run(range(options.seed, options.seed + 1))
        for failure in tally.failures:
            print(failure)
    else:
        tally = _watched(options.first, options.seeds)
    print(tally.describe())
    sys.exit(1 if tally.failures or not tally.seeds else 0)


def _watched(first: int, count: int) -> Tally:
    """Runs the seeds and reports progress and failures to stderr. An interrupt keeps the results so far."""
    total, told = Tally(), 0
    try:
        for total in run_everywhere(range(first, first + count)):
            for failure in total.failures[told:]:
                print(failure, flush=True)
            told = len(total.failures)
            print(f"{total.describe()} (of {count})", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return total


if __name__ == "__main__":
    main()
