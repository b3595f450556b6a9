"""Runs many seeds on every core. A seed that fails or hangs does not stop the others."""

import gc
import signal
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from os import cpu_count

import structlog

from tests.proof.checker import Violation
from tests.proof.loop import HungError
from tests.proof.simulate import simulate

CHUNK = 20
#: Seconds between two reports.
INTERVAL = 5.0
#: Limit in CPU seconds per seed; typical seeds take a few hundredths.
PATIENCE = 60.0


class OutOfTimeError(KeyboardInterrupt):
    """A seed exceeded its CPU time. A BaseException, so that no `except Exception` swallows it."""


@dataclass
class Tally:
    """Totals over several seeds."""

    seeds: int = 0
    reads: int = 0
    rejected: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        self.seeds += other.seeds
        self.reads += other.reads
        self.rejected += other.rejected
        self.failures += other.failures

    def describe(self) -> str:
        return (
            f"{self.seeds} seeds, {self.reads} reads checked, {self.rejected} stale fills rejected, "
            f"{len(self.failures)} violations; {self.seconds:.0f} s, "
            f"{self.seeds / max(self.seconds, 0.001):.1f} seeds/s"
        )


def run_everywhere(seeds: range) -> Iterator[Tally]:
    """Yields the totals so far, every few seconds and at the end."""
    begun, total = time.monotonic(), Tally()
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    # Spawned, not forked, so that a worker inherits neither locks nor signal handlers.
    executor = ProcessPoolExecutor(cpu_count() or 1, mp_context=get_context("spawn"), initializer=_settle_in)
    with executor:
        try:
            pending = {executor.submit(run, chunk) for chunk in chunks}
            reported = begun
            while pending:
                done, pending = wait(pending, timeout=INTERVAL, return_when=FIRST_COMPLETED)
                for future in done:
                    total.add(future.result())
                total.seconds = time.monotonic() - begun
                if not pending or time.monotonic() - reported >= INTERVAL:
                    reported = time.monotonic()
                    yield total
        finally:
            executor.shutdown(cancel_futures=True)


def run(seeds: range, *, patience: float = PATIENCE) -> Tally:
    """Runs every seed, even after failures."""
    tally, begun = Tally(), time.monotonic()
    with _quiet():
        for seed in seeds:
            tally.seeds += 1
            try:
                with _at_most(patience):
                    summary = simulate(seed)
            except (Violation, HungError) as error:
                tally.failures.append(_report(seed, error))
            except OutOfTimeError as error:
                tally.failures.append(_report(seed, error, where=True))
            except Exception as error:  # noqa: BLE001 - an unexpected error in a history is a finding, like a violation
                tally.failures.append(_report(seed, error, where=True))
            else:
                tally.reads += summary.reads
                tally.rejected += summary.rejected
    tally.seconds = time.monotonic() - begun
    return tally


def _report(seed: int, error: BaseException, *, where: bool = False) -> str:
    """The error, its traceback if `where`, and the command that replays the seed."""
    trace = "".join(traceback.format_exception(error)[-8:]) if where else ""
    what = f"{type(error).__name__}: {error}"
    return f"seed {seed}: {what}\n{trace}  replay: python -m tests.proof --seed {seed}"


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises OutOfTimeError in the block after `seconds` of CPU time."""

    def over(*_: object) -> None:
        raise OutOfTimeError(f"hung: still busy after {seconds:.0f} s of CPU")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Disables logs."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def _settle_in() -> None:
    """Makes garbage collection rare: histories create much garbage with few cycles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
