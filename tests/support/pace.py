"""How slow this machine is at the moment: the factor by which tests scale leases and other short times."""

import subprocess
import sys
import time
from functools import cache
from statistics import median

#: Seconds in which an idle machine starts an interpreter and adds up these numbers.
_NOMINAL = 0.15
_PROBE = "sum(range(2_000_000))"
_MOST = 6.0


@cache
def slowness() -> float:
    """Returns 1 on an idle machine and at most 6 on a busy or slow one. Measured once in each process."""
    return min(_MOST, max(1.0, median(_seconds() for _ in range(3)) / _NOMINAL))


def _seconds() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-I", "-S", "-c", _PROBE], check=True)
    return time.monotonic() - began
