"""The whole cache of one process, opened and closed together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from gostream_shared.cache.breaker import Breaker
from gostream_shared.cache.bus.bus import Bus
from gostream_shared.cache.bus.progress import RedisProgressPublisher, progress_channel, progress_inbox
from gostream_shared.cache.bus.redis_transport import RedisBusTransport
from gostream_shared.cache.bus.watchers import Watchers
from gostream_shared.cache.entries.epoch import Namespace, NamespaceKeeper
from gostream_shared.cache.entries.redis_cache import CacheTimes, RedisVideoCache, change_channel
from gostream_shared.cache.outbox.announcer import RedisChangeAnnouncer
from gostream_shared.cache.outbox.notify import outbox_bell
from gostream_shared.cache.outbox.relay import OutboxRelay
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.ports import ChangeAnnouncer, ProgressPublisher, VideoEvents
from gostream_shared.cache.protocol import Epochs, VideoCache
from gostream_shared.cache.redis_connection import RedisLink, redis_client
from gostream_shared.concurrency import in_background
from gostream_shared.config import Config
from gostream_shared.domain.repositories import Outbox

_log = structlog.get_logger(__name__)
_Runner = OutboxRelay | Bus | NamespaceKeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """What a process does with the cache."""

    announcer: ChangeAnnouncer
    progress: ProgressPublisher
    events: VideoEvents  # silent unless opened with `subscribe`
    videos: VideoCache
    bus: Bus  # for CachedVideoService
    unannounced: Unannounced  # likewise
    ttl: float  # seconds that an entry lives in Redis


@asynccontextmanager
async def open_cache(
    config: Config, *, outbox: Outbox, subscribe: bool, epochs: Epochs | None = None
) -> AsyncIterator[Cache]:
    """Open the cache and relay the outbox until the block ends; with `subscribe` listen to the bus too.

    A process that reads the cache needs `epochs`; one that only writes does not.

    Neither Redis nor the database need to be up: what needs them waits in the background.
    """
    namespace = Namespace()
    link = RedisLink(redis_client(config, admits=namespace.admits), Breaker())
    subscriber = redis_client(config, connections=1)
    channel, progress = change_channel(config.redis_db), progress_channel(config.redis_db)
    times = CacheTimes(ttl=config.redis_ttl.total_seconds())
    videos = RedisVideoCache(link, channel=channel, namespace=namespace, times=times)
    watchers, unannounced = Watchers(), Unannounced()
    bus = Bus(
        RedisBusTransport(link, subscriber, channel=channel, others=(progress,)),
        unsequenced=progress_inbox(watchers.progressed),
        accepted=unannounced.accepted,
    )
    bus.add(watchers)
    runners: list[_Runner] = [bus] if subscribe else []
    if epochs is not None:
        keeper = NamespaceKeeper(namespace, epochs, probe=link, changed=bus.epoch_changed)
        runners.append(keeper)
    async with (
        link.client,
        subscriber,
        outbox_bell(config.database_url.get_secret_value()) as bell,
        in_background(
            *map(
                _keep_running,
                [OutboxRelay(outbox, videos, bell=bell, unannounced=unannounced, local=bus), *runners],
            )
        ),
    ):
        yield Cache(
            announcer=RedisChangeAnnouncer(videos, outbox, unannounced=unannounced, locally=bus.changed),
            progress=RedisProgressPublisher(link, channel=progress),
            events=watchers,
            videos=videos,
            bus=bus,
            unannounced=unannounced,
            ttl=times.ttl,
        )


async def _keep_running(runner: _Runner) -> None:
    """A defect in the background must not end the service: without the bus nothing local is served."""
    while True:
        try:
            await runner.run()
        except Exception:  # noqa: BLE001 - the outermost frame of a background task
            _log.exception("cache task failed and is begun anew", task=type(runner).__name__)
        await asyncio.sleep(1)
