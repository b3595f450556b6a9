"""Composes EventService and WebhookService."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gostream_api.config import ApiConfig
from gostream_api.events.event_service import EventService
from gostream_api.events.tail import EventTail
from gostream_api.events.watch import EventWatches
from gostream_api.rpc.events.servicer import EVENTS, EventServicer, event_handlers
from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.interceptors.clients import ClientOf
from gostream_api.rpc.webhooks.servicer import WEBHOOKS, WebhookServicer, webhook_handlers
from gostream_api.webhooks.webhook_service import WebhookService
from gostream_shared.concurrency import in_background
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.listen import keep_listening
from gostream_shared.domain.companions.events import Events
from gostream_shared.domain.repositories import Database
from gostream_shared.egress.guard import EgressGuard

_CHANNEL = "gostream_changes"


@dataclass(frozen=True, slots=True)
class EventStack:
    """The services of events by their full names, and the streams that a stopping server ends."""

    services: dict[str, dict[str, Handler]]
    watches: EventWatches


@asynccontextmanager
async def open_events(
    config: ApiConfig, database: Database, events: Events, client_of: ClientOf
) -> AsyncIterator[EventStack]:
    """Follow the log while anybody watches it, until the block ends."""
    listen_url = DatabaseAddress.of(config).direct_url

    @asynccontextmanager
    async def listen(notify: Callable[[], None]) -> AsyncIterator[None]:
        listening = keep_listening(listen_url, _CHANNEL, notified=lambda _: notify(), connected=notify)
        async with in_background(listening):
            yield

    videos = database.videos
    tail = EventTail(events, videos, listen)
    watches = EventWatches(events, videos, tail)
    servicer = EventServicer(EventService(events, videos), watches, config.cdn_base_url)
    async with in_background(tail.run()):
        services = {
            EVENTS: event_handlers(servicer),
            WEBHOOKS: webhook_handlers(_webhooks(config, database, client_of)),
        }
        yield EventStack(services, watches)


def _webhooks(config: ApiConfig, database: Database, client_of: ClientOf) -> WebhookServicer:
    guard = EgressGuard.of(config.webhook_url_allow, allows_http=config.webhook_url_http)
    return WebhookServicer(WebhookService(database, quota=config.quota_webhooks), guard, client_of)
