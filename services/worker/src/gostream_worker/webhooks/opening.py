"""Composes the delivery of webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gostream_shared.domain.companions.webhooks import Deliveries
from gostream_shared.egress.guard import EgressGuard
from gostream_worker.config import WorkerConfig
from gostream_worker.webhooks.dispatcher import Dispatcher
from gostream_worker.webhooks.sender import Sender


@asynccontextmanager
async def open_webhooks(config: WorkerConfig, deliveries: Deliveries) -> AsyncIterator[Dispatcher]:
    """Yields a dispatcher to run."""
    guard = EgressGuard.of(config.webhook_url_allow, allows_http=config.webhook_url_http)
    async with Sender.open(guard) as sender:
        yield Dispatcher(deliveries, sender, slots=config.webhook_slots)
