"""Starts servers concurrently and keeps them running."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from gostream_devstack.errors import StackError
from gostream_devstack.servers.server import Server

Report = Callable[[str, str], None]

RESTARTS = 5
FIRST_PAUSE = 0.5
HEALTHY_AFTER = 60.0


@dataclass(frozen=True)
class Step:
    """An action that runs once, after other steps."""

    name: str
    run: Callable[[], None]
    after: tuple[str, ...] = ()


def run_steps(steps: Sequence[Step], report: Report, abort: Callable[[], None]) -> None:
    """Runs every step as soon as its predecessors are done.

    The first failure (or Ctrl-C) calls `abort`, which should end the others, and is raised once they have
    ended. `report` receives each step's name with "starting", "ready after 0.3 s", "failed" or "stopped".
    """
    done: dict[str, Future[None]] = {}
    aborted = threading.Event()
    with ThreadPoolExecutor(max_workers=len(steps)) as pool:
        for step in steps:
            before = [done[name] for name in step.after]
            done[step.name] = pool.submit(_run_step, step, before, report, aborted)
        try:
            finished, _ = wait(done.values(), return_when=FIRST_EXCEPTION)
            for future in finished:
                future.result()
        except BaseException:
            aborted.set()
            abort()
            raise


def _run_step(step: Step, before: Sequence[Future[None]], report: Report, aborted: threading.Event) -> None:
    for earlier in before:
        earlier.result()
    report(step.name, "starting")
    begun = time.monotonic()
    try:
        step.run()
    except BaseException:
        report(step.name, "stopped" if aborted.is_set() else "failed")
        raise
    report(step.name, f"ready after {time.monotonic() - begun:.1f} s")


def stop_all(servers: Iterable[Server]) -> None:
    """Stops servers concurrently. Raises the first error after all were tried."""
    with ThreadPoolExecutor() as pool:
        stopping = [pool.submit(server.stop) for server in servers]
    for future in stopping:
        future.result()


class Watcher:
    """Monitors running servers: a dead service is restarted, any other dead server ends the stack."""

    def __init__(self, servers: Mapping[str, Server], report: Report) -> None:
        self._servers = servers
        self._report = report
        self._deaths: dict[str, int] = dict.fromkeys(servers, 0)
        self._due: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def check(self) -> bool:
        """Checks once. Returns True if a server was restarted. Raises StackError if the stack must end."""
        now = time.monotonic()
        started = False
        for name, server in self._servers.items():
            if name in self._due:
                started |= self._restart_when_due(name, server, now)
            elif not server.alive:
                self._died(name, server, now)
        return started

    def _died(self, name: str, server: Server, now: float) -> None:
        if now - self._started.get(name, now) > HEALTHY_AFTER:
            self._deaths[name] = 0
        self._deaths[name] += 1
        cause = f"died with {server.returncode}"
        if not server.restarts or self._deaths[name] > RESTARTS:
            raise StackError(f"{name} {cause}; its log:\n{server.tail()}")
        pause = FIRST_PAUSE * 2 ** (self._deaths[name] - 1)
        self._due[name] = now + pause
        self._report(name, f"{cause}, starting again in {pause:.1f} s")

    def _restart_when_due(self, name: str, server: Server, now: float) -> bool:
        if now < self._due[name]:
            return False
        del self._due[name]
        self._started[name] = now
        server.spawn()
        self._report(name, "started again")
        return True
