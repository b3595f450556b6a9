"""Sets the kernel's scheduling policy for the threads of a server."""

import os
from typing import Literal

import structlog

Scheduling = Literal["batch", "normal"]

_log = structlog.stdlib.get_logger("gostream.server")


def schedule(how: Scheduling) -> None:
    """Set the policy for this thread, and for all threads and processes that it starts later.

    With `batch` (Linux's SCHED_BATCH) a woken thread does not preempt its waker, so the I/O thread and the
    Python thread switch once per batch of calls instead of twice per call. Changes nothing if the kernel does
    not support the policy or rejects it.
    """
    if how == "normal" or not hasattr(os, "SCHED_BATCH"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        _log.warning("scheduling policy not changed", error=str(error))
