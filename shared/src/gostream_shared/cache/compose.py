"""Opens and closes the cache of one process: Redis, the bus, the epoch and the outbox relay."""

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
from gostream_shared.cache.driver.servers import Servers
from gostream_shared.cache.entries.codec import reply_form
from gostream_shared.cache.entries.epoch import EpochKeeper, EpochState
from gostream_shared.cache.entries.redis_cache import CacheTimes, RedisVideoCache, change_channel
from gostream_shared.cache.entries.trace_marks import TraceMarks
from gostream_shared.cache.outbox.announcer import RedisChangeAnnouncer
from gostream_shared.cache.outbox.notify import ElectedListener, listen_to_outbox
from gostream_shared.cache.outbox.port import SharedOutbox
from gostream_shared.cache.outbox.relay import OutboxRelay
from gostream_shared.cache.outbox.unannounced import Unannounced
from gostream_shared.cache.ports import ChangeAnnouncer, ProgressPublisher, VideoEvents
from gostream_shared.cache.protocol import Epochs, VideoCache
from gostream_shared.cache.redis_connection import RedisConnection, open_servers
from gostream_shared.concurrency import in_background
from gostream_shared.config import Config
from gostream_shared.db.connecting.address import DatabaseAddress

_log = structlog.get_logger(__name__)
_Runner = OutboxRelay | Bus | EpochKeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The parts of the cache that a process uses."""

    announcer: ChangeAnnouncer
    progress: ProgressPublisher
    events: VideoEvents  # without events unless opened with `subscribe`
    videos: VideoCache
    bus: Bus  # for CachedVideoService
    unannounced: Unannounced  # likewise
    ttl: float  # seconds that an entry stays in Redis
    marks: TraceMarks


@asynccontextmanager
async def open_cache(
    config: Config, *, outbox: SharedOutbox, subscribe: bool, epochs: Epochs | None = None
) -> AsyncIterator[Cache]:
    """Open the cache and relay the outbox until the block ends. With `subscribe`, also listen to the bus.

    A process that reads the cache needs `epochs`; one that only writes does not. Redis and the database may
    be down: background tasks wait for them.
    """
    epoch_state = EpochState()
    connection = RedisConnection(open_servers(config, admits=epoch_state.admits), Breaker())
    subscriber = open_servers(config, connections=1)
    database = config.redis().database
    channel = change_channel(database)
    times = CacheTimes(ttl=config.redis_ttl.total_seconds())
    form = reply_form(config.cdn_base_url)
    videos = RedisVideoCache(connection, channel=channel, epoch_state=epoch_state, times=times, form=form)
    watchers, transport = _watching(connection, subscriber, database)
    unannounced, marks = Unannounced(), TraceMarks(connection)
    bus = Bus(
        transport,
        unsequenced=progress_inbox(watchers.progressed),
        accepted=unannounced.accepted,
    )
    bus.add(watchers)
    runners: list[_Runner] = [bus] if subscribe else []
    if epochs is not None:
        keeper = EpochKeeper(epoch_state, epochs, probe=connection, changed=bus.epoch_changed)
        runners.append(keeper)
    async with (
        connection.servers,
        subscriber,
        listen_to_outbox(DatabaseAddress.of(config).direct_url, outbox) as listener,
        in_background(
            *map(
                _keep_running, [_relay(outbox, videos, listener, unannounced, bus, reads=subscribe), *runners]
            )
        ),
    ):
        yield Cache(
            announcer=RedisChangeAnnouncer(
                videos, outbox, unannounced=unannounced, locally=bus.changed, mark=marks.leave
            ),
            marks=marks,
            progress=RedisProgressPublisher(connection, database=database),
            events=watchers,
            videos=videos,
            bus=bus,
            unannounced=unannounced,
            ttl=times.ttl,
        )


def _relay(
    outbox: SharedOutbox,
    videos: VideoCache,
    listener: ElectedListener,
    unannounced: Unannounced,
    bus: Bus,
    *,
    reads: bool,
) -> OutboxRelay:
    return OutboxRelay(
        outbox,
        videos,
        listener=listener,
        unannounced=unannounced,
        local=bus,
        is_elected=lambda: listener.is_elected,
        reads=reads,
    )


def _watching(
    connection: RedisConnection, subscriber: Servers, database: int
) -> tuple[Watchers, RedisBusTransport]:
    """Returns the watchers, and the transport that follows the progress of the videos that they watch."""
    watchers = Watchers(
        begin=lambda video_id: transport.follow(progress_channel(database, video_id)),
        end=lambda video_id: transport.follow(progress_channel(database, video_id), ends=True),
    )
    transport = RedisBusTransport(
        connection,
        subscriber,
        channel=change_channel(database),
        others=lambda: [progress_channel(database, video_id) for video_id in watchers.watched],
    )
    return watchers, transport


async def _keep_running(runner: _Runner) -> None:
    """Restart a failed task, so that a defect does not end the service. L1 serves nothing without the bus."""
    while True:
        try:
            await runner.run()
        except Exception:  # noqa: BLE001 - the outermost frame of a background task
            _log.exception("cache task failed, restarting", task=type(runner).__name__)
        await asyncio.sleep(1)
