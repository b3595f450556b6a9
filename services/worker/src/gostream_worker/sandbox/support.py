"""Checks at the worker's start which sandbox features this machine offers."""

import ctypes

import structlog

from gostream_shared.domain.errors import MisconfiguredError
from gostream_worker.metrics import SANDBOX
from gostream_worker.sandbox import landlock, seccomp

_log = structlog.stdlib.get_logger("gostream.sandbox")
_PR_SET_DUMPABLE = 4


def prepare_sandbox(*, required: bool) -> None:
    """Reports the sandbox's state, and hides this process's memory and environment.

    Other processes of its user cannot read them. Raises MisconfiguredError if the sandbox is required and the
    kernel lacks a part of it.
    """
    abi, has_seccomp = landlock.abi(), seccomp.is_supported()
    SANDBOX.labels(str(abi), str(has_seccomp).lower()).set(1)
    if required and not (abi and has_seccomp):
        raise MisconfiguredError(
            f"SANDBOX=required, but this kernel has Landlock ABI {abi} and "
            f"{'' if has_seccomp else 'no '}seccomp filters; Landlock needs Linux 5.13"
        )
    if abi and has_seccomp:
        _log.info("sandbox", landlock_abi=abi, seccomp=True)
    else:
        _log.warning("children that read sources are not confined", landlock_abi=abi, seccomp=has_seccomp)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
