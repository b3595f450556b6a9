"""Faults that are injected repeatedly during a run."""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.proxy import Proxy
from benchmarks.servers import Servers


class Fault(enum.StrEnum):
    """A kind of fault."""

    NONE = "none"
    CUT = "bus cut"  # kills every pub/sub connection, several times per second
    HALF_OPEN = "bus half-open"  # every pub/sub connection stays open but delivers no message
    WRITERS = "writers SIGKILLed"
    RESTART = "Redis SIGKILLed and restarted"


#: Seconds between two strikes. Replicas detect half-open connections after 3 s.
_EVERY = {Fault.NONE: 1.0, Fault.CUT: 0.4, Fault.HALF_OPEN: 5.0, Fault.WRITERS: 2.0, Fault.RESTART: 5.0}


@dataclass(slots=True)
class FaultInjector:
    """Injects the fault until the run ends, and counts the strikes."""

    fault: Fault
    servers: Servers
    proxy: Proxy
    kill_a_writer: Callable[[], int]  # returns the number of writers killed so far
    strikes: int = 0

    def run(self, stop: float, tend: Callable[[], None]) -> None:
        """Runs until the end; calls `tend` often, to replace dead processes."""
        due = time.monotonic() + _EVERY[self.fault]
        while (now := time.monotonic()) < stop:
            tend()
            if now >= due:
                self._strike()
                due = time.monotonic() + _EVERY[self.fault]
            time.sleep(0.05)

    def _strike(self) -> None:
        match self.fault:
            case Fault.CUT:
                reply = self.servers.redis.execute("CLIENT KILL TYPE pubsub")
                self.strikes += int(reply.strip().lstrip(b":") or 0)
            case Fault.HALF_OPEN:
                self.strikes += self.proxy.blackhole_buses()
            case Fault.WRITERS:
                self.strikes = self.kill_a_writer()
            case Fault.RESTART:
                self.servers.redis.kill()
                self.servers.redis.start()
                self.strikes += 1
