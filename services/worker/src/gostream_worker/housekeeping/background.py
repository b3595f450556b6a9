"""What every worker does next to its jobs: it deletes old rows and measures the queue."""

from collections.abc import Coroutine
from typing import Any

import asyncpg

from gostream_shared.domain.companions.events import Events
from gostream_shared.domain.companions.webhooks import Deliveries
from gostream_shared.domain.repositories import Database
from gostream_shared.storage.port import ObjectStore
from gostream_worker.config import WorkerConfig
from gostream_worker.jobs.old_rows import keep_short
from gostream_worker.jobs.upload_expiry import keep_comparing
from gostream_worker.queue_length import keep_measuring
from gostream_worker.webhooks.ending import keep_ending


def housekeeping(
    config: WorkerConfig,
    database: Database,
    pool: asyncpg.Pool,
    events: Events,
    deliveries: Deliveries,
    store: ObjectStore,
) -> list[Coroutine[Any, Any, None]]:
    """Returns work for in_background. Any number of workers may run it."""
    return [
        keep_short(database, pool, events, trail=config.trail_retention, log=config.event_retention),
        keep_comparing(database, store, max(config.upload_ttl, config.source_fetch_timeout)),
        keep_measuring(pool),
        keep_ending(deliveries, retention=config.event_retention),
    ]
