"""How the kernel shares a core among the threads of a server."""

import os
from typing import Literal

import structlog

Scheduling = Literal["batch", "normal"]

_log = structlog.stdlib.get_logger("gostream.server")


def schedule(how: Scheduling) -> None:
    """Set it for this thread, and for all threads and processes that it starts from now on.

    With `batch` (Linux's SCHED_BATCH) a thread that is woken waits until the one that woke it has done all
    that it has at hand. The network's thread and Python's then take turns by the handful of calls; else they
    take turns twice a call. Where the kernel does not have it, or refuses, nothing changes.
    """
    if how == "normal" or not hasattr(os, "SCHED_BATCH"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        _log.warning("scheduling stays as it was", error=str(error))
