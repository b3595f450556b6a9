"""Repeats work: until an unavailable backend answers, up to a limit, and periodically."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import structlog

from gostream_shared.concurrency import wait_at_most
from gostream_shared.domain.errors import BackendUnavailableError

_log = structlog.stdlib.get_logger("gostream.retry")
_Result = TypeVar("_Result")
LONGEST_PAUSE = 60.0


def backoff(waited: float) -> float:
    """Returns the next pause after `waited` seconds: about doubling, 1 to 60 s, with jitter."""
    return min(LONGEST_PAUSE, max(1.0, waited)) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load


async def patiently(call: Callable[[], Awaitable[_Result]], *, patience: float) -> _Result:
    """Repeats an idempotent step for `patience` seconds. Then raises BackendUnavailableError."""
    began = monotonic()
    while True:
        try:
            return await call()
        except BackendUnavailableError as error:
            waited = monotonic() - began
            if waited >= patience:
                raise
            pause = backoff(waited)
            _log.warning("waiting for a backend", error=str(error), pause=round(pause, 1))
            await asyncio.sleep(pause)


async def periodically(
    work: Callable[[], Awaitable[object]],
    *,
    period: float,
    log: structlog.stdlib.BoundLogger,
    failure: str,
    stopping: asyncio.Event | None = None,
) -> None:
    """Repeats `work` about every `period` seconds until `stopping` is set. Workers spread their repetitions.

    While a backend is unavailable, `failure` is logged once per period.
    """
    stopping = stopping or asyncio.Event()
    while not stopping.is_set():
        try:
            await work()
        except BackendUnavailableError as error:
            log.warning(failure, error=str(error))
        await wait_at_most(stopping, period * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load
