"""The coherence harness: `python -m benchmarks.coherence [--faults]`."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.coherence.faults import Fault
from benchmarks.coherence.run import Options, Outcome, measure
from benchmarks.report import table, write_report
from benchmarks.servers import running_servers

SYSTEMS = ("gostream", "near", "naive", "cashews", "aiocache")
_HEADER = (
    *("system", "fault", "strikes", "reads", "writes", "stale > 100 ms", "%", "stalled", "stale > 3 s"),
    *("worst ms", "stuck", "errors", "fills rejected (Redis + local)"),
)
_WORDS = (
    "Stale > 100 ms: the read began more than 100 ms after the call that announces a newer version "
    "returned. Stalled: stale reads that began during a stall of the reader's process of more than 50 ms, "
    "or within 50 ms after one, so that the process had no time to receive the announcement. Stale > 3 s: "
    "the read began more than 3 s after a newer version was committed. Worst: the longest staleness of an "
    "answer since that announcement. Stuck: keys that are still wrong after 1.5 s without writes (4.5 s "
    "after faults)."
)


def main() -> None:
    options = _arguments()
    faults = [fault for fault in Fault if fault is not Fault.NONE] if options.faults else [Fault.NONE]
    size = Options(
        seconds=options.seconds,
        replicas=options.replicas,
        readers=options.readers,
        rate=options.rate,
        burst=options.burst,
        batch=options.batch,
        pause=options.pause / 1000,
        load_delay=options.load_delay / 1000,
        door=options.through == "door",
    )
    outcomes = []
    with running_servers() as servers:
        for fault in faults:
            for system in options.systems:
                outcomes.append(measure(servers, system, fault, size))
                print(table(_HEADER, [_row(outcomes[-1])]).splitlines()[-1], flush=True)
    name = options.name or ("coherence-faults" if options.faults else "coherence")
    name += "-door" if size.door and not options.name else ""
    write_report(name, "Coherence", table(_HEADER, map(_row, outcomes)), _WORDS, _size_line(size))
    sys.exit(any(_is_wrong(outcome) for outcome in outcomes if outcome.system in ("gostream", "near")))


def _arguments() -> argparse.Namespace:
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coherence",
        description="Readers in several processes check every answer of a cache against what was written. "
        "Exits 1 if GoStream's cache breaks its promise.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="which caches, in this order")
    add("--faults", action="store_true", help="run under each fault instead of in calm")
    add("--seconds", type=float, default=usual.seconds, help="length of each run")
    add("--replicas", type=int, default=usual.replicas, help="reader processes")
    add("--readers", type=int, default=usual.readers, help="readers in each of them")
    add("--rate", type=float, default=usual.rate, help="writes per second, all writers together")
    add("--burst", type=int, default=usual.burst, help="consecutive writes of one video")
    add("--batch", type=int, default=usual.batch, help="consecutive reads of a reader")
    add("--pause", type=float, default=usual.pause * 1000, help="mean ms between batches")
    add(
        "--load-delay",
        type=float,
        default=usual.load_delay * 1000,
        help="maximum delay of a database read in ms",
    )
    add(
        "--through",
        choices=("call", "door"),
        default="call",
        help="GoStream's readers: calls in their own process, or gRPC through a read door",
    )
    add("--name", help="name of the file in benchmarks/results/")
    return parser.parse_args()


def _row(outcome: Outcome) -> Sequence[object]:
    tally = outcome.tally
    rejected = f"{tally.counters['rejected']:,} + {tally.counters['rejected_l1']:,}"
    return (
        outcome.system,
        outcome.fault.value,
        outcome.strikes,
        f"{tally.reads:,}",
        f"{outcome.writes:,}",
        f"{tally.stale:,}",
        f"{100 * tally.stale / max(1, tally.reads):.3f}",
        f"{tally.stalled:,}",
        f"{tally.very_stale:,}",
        f"{tally.worst * 1000:,.0f}",
        f"{tally.stuck} of {outcome.checked}",
        _errors(tally.counters),
        rejected if outcome.system == "gostream" else "–",
    )


def _errors(counters: Counter[str]) -> str:
    kinds = [f"{count:,} {name.split()[1]}" for name, count in counters.items() if name.startswith("error ")]
    return ", ".join(kinds) or "0"


def _size_line(size: Options) -> str:
    return (
        f"{size.replicas} replica processes with {size.readers} readers each, {size.keys} keys, "
        f"{size.writers} writer processes with {size.rate:g} writes/s together in bursts of {size.burst}, "
        f"database reads up to {size.load_delay * 1000:g} ms late, entries live 1 h, {size.seconds:g} s."
    )


def _is_wrong(outcome: Outcome) -> bool:
    tally = outcome.tally
    late = tally.stale - tally.stalled if outcome.fault is Fault.NONE else tally.very_stale
    return bool(late or tally.stuck or tally.errors)


if __name__ == "__main__":
    main()
