"""Composes EventService."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gostream_api.config import ApiConfig
from gostream_api.events.event_service import EventService
from gostream_api.events.tail import EventTail
from gostream_api.events.watch import EventWatches
from gostream_api.rpc.events.servicer import EVENTS, EventServicer, event_handlers
from gostream_api.rpc.interceptors.base import Handler
from gostream_shared.concurrency import in_background
from gostream_shared.db.listen import keep_listening
from gostream_shared.domain.companions.events import Events
from gostream_shared.domain.repositories import VideoRepository

_CHANNEL = "gostream_changes"


@dataclass(frozen=True, slots=True)
class EventStack:
    """The services of events by their full names, and the streams that a stopping server ends."""

    services: dict[str, dict[str, Handler]]
    watches: EventWatches


@asynccontextmanager
async def open_events(
    config: ApiConfig, events: Events, videos: VideoRepository
) -> AsyncIterator[EventStack]:
    """Follow the log while anybody watches it, until the block ends."""

    @asynccontextmanager
    async def listen(notify: Callable[[], None]) -> AsyncIterator[None]:
        listening = keep_listening(
            config.database_url.get_secret_value(), _CHANNEL, notified=lambda _: notify(), connected=notify
        )
        async with in_background(listening):
            yield

    tail = EventTail(events, videos, listen)
    watches = EventWatches(events, videos, tail)
    servicer = EventServicer(EventService(events, videos), watches, config.cdn_base_url)
    async with in_background(tail.run()):
        yield EventStack({EVENTS: event_handlers(servicer)}, watches)
