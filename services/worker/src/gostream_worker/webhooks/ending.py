"""Ends deliveries that could not be made, and deletes old ones."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from gostream_shared.domain.companions.webhooks import Deliveries
from gostream_worker.metrics import WEBHOOK_DELIVERIES
from gostream_worker.retry import periodically
from gostream_worker.webhooks.schedule import LONGEST

_log = structlog.stdlib.get_logger("gostream.webhooks")

#: Seconds between two runs.
_PERIOD = 3600.0
_BATCH = 1000


async def keep_ending(deliveries: Deliveries, *, retention: timedelta) -> None:
    """Run `end_old` every hour. Any number of workers may run it."""

    async def end() -> None:
        ended, deleted = await end_old(deliveries, retention=retention)
        if ended or deleted:
            _log.info("old deliveries ended", ended=ended, deleted=deleted)

    await periodically(end, period=_PERIOD, log=_log, failure="old deliveries not ended")


async def end_old(deliveries: Deliveries, *, retention: timedelta) -> tuple[int, int]:
    """End deliveries that were not made in time, and delete those older than `retention`.

    Returns both numbers. Raises BackendUnavailableError.
    """
    ended = await _in_batches(lambda: deliveries.end_overdue(older_than=LONGEST, limit=_BATCH))
    WEBHOOK_DELIVERIES.labels("dead").inc(ended)
    return ended, await _in_batches(lambda: deliveries.delete_old(older_than=retention, limit=_BATCH))


async def _in_batches(work: Callable[[], Awaitable[int]]) -> int:
    total = 0
    while count := await work():
        total += count
    return total
