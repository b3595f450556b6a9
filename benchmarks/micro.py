"""The cost of one look-up in the process and in Redis: `python -m benchmarks.micro`."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import cashews
import uvloop

from benchmarks.cached import make_video, open_cached
from benchmarks.coherence.libraries import cashews_url
from benchmarks.report import table, write_report
from benchmarks.servers import running_servers
from gostream_api.principal import ANONYMOUS
from gostream_api.reads.local_cache import LocalCache, LocalEntry
from gostream_api.rpc.convert import encode_video
from gostream_shared.cache.driver.client import redis_client
from gostream_shared.cache.protocol import Hit, VideoCache
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.observability.logs import configure_logs

Look = Callable[[], Awaitable[Any]]
_PLAIN = "bench:plain"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.micro",
        description="Measures the cost of each kind of look-up; medians of alternating rounds.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each kind")
    parser.add_argument("--lookups", type=int, default=20_000, help="look-ups in the process per round")
    parser.add_argument("--gets", type=int, default=1000, help="look-ups in Redis per round")
    options = parser.parse_args()
    configure_logs(service="bench", level="CRITICAL", form="console")
    with running_servers() as servers:
        parts = uvloop.run(_measure(servers.config(), options))
    write_report("micro", "Look-ups", *parts)


async def _measure(config: Config, options: argparse.Namespace) -> list[str]:
    async with AsyncExitStack() as stack:
        url = config.database_url.get_secret_value()
        database = await stack.enter_async_context(PostgresDatabase.open(url))
        cache, service = await stack.enter_async_context(open_cached(config, database))
        video_id = await make_video(database)
        payload = (await service.get_video(ANONYMOUS, video_id)).reply.payload
        local = await _in_process(partial(service.get_video, ANONYMOUS), video_id, payload, config, options)
        remote = await _in_redis(cache.videos, video_id, config, options)
        return [local, remote]


async def _in_process(
    get_video: Callable[[UUID], Awaitable[Any]],
    video_id: UUID,
    payload: bytes,
    config: Config,
    options: argparse.Namespace,
) -> str:
    plain, local = {video_id: payload}, LocalCache(live_until=lambda: time.monotonic() + 60)
    local.store(video_id, local.ticket(video_id), LocalEntry(1, payload))
    peer = cashews.Cache()
    peer.setup(cashews_url(config), client_side=True, protocol=2)
    await peer.init()
    await peer.set(str(video_id), payload, expire=3600)
    key, count, rounds = str(video_id), options.lookups, range(options.rounds)
    kinds: dict[str, list[float]] = {
        name: []
        for name in ("dict", "LocalCache.get", "CachedVideoService.get_video", "cashews, client side")
    }
    for _ in rounds:
        kinds["dict"].append(_time(lambda: plain.get(video_id), count))
        kinds["LocalCache.get"].append(_time(lambda: local.get(video_id), count))
        kinds["CachedVideoService.get_video"].append(await _time_async(lambda: get_video(video_id), count))
        kinds["cashews, client side"].append(await _time_async(lambda: peer.get(key), count // 10))
    await peer.close()
    rows = [(name, f"{median(times) * 1e6:.2f}") for name, times in kinds.items()]
    return table(("a look-up in the process", "µs"), rows)


def _time(call: Callable[[], object], count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begun) / count


async def _time_async(call: Look, count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - begun) / count


async def _in_redis(cache: VideoCache, video_id: UUID, config: Config, options: argparse.Namespace) -> str:
    async with redis_client(config) as redis:
        hit = await cache.get_or_lease(video_id)
        assert isinstance(hit, Hit)
        await redis.set(_PLAIN, str(hit.entry))
        ours, plain = list[tuple[float, float]](), list[tuple[float, float]]()
        for _ in range(options.rounds):
            plain.append(await _costs(lambda: redis.get(_PLAIN), options.gets))
            ours.append(await _costs(lambda: _hit(cache, video_id), options.gets))
    rows = [("GET", *_columns(plain, plain)), ("hit with its reply", *_columns(ours, plain))]
    return table(("a look-up in Redis, one caller", "p50 µs", "ratio", "processor µs", "ratio"), rows)


async def _hit(cache: VideoCache, video_id: UUID) -> bytes:
    """Looks up a video, up to the bytes of its reply. An earlier release converts its value."""
    lookup = await cache.get_or_lease(video_id)
    assert isinstance(lookup, Hit)
    reply: bytes | None = getattr(lookup.entry, "reply", None)
    if reply is not None:
        return reply
    assert lookup.entry.video is not None
    return encode_video(lookup.entry.video, "http://cdn.test")


def _columns(ours: list[tuple[float, float]], plain: list[tuple[float, float]]) -> Iterator[str]:
    for column in range(2):
        ratios = [our[column] / their[column] for our, their in zip(ours, plain, strict=True)]
        yield f"{median(our[column] for our in ours) * 1e6:.0f}"
        yield f"{median(ratios):.2f}"


async def _costs(call: Look, count: int) -> tuple[float, float]:
    """Returns the median elapsed time and the mean processor time of this process."""
    times, busy = [], time.process_time()
    for _ in range(count):
        begun = time.perf_counter()
        await call()
        times.append(time.perf_counter() - begun)
        await asyncio.sleep(0)
    return median(times), (time.process_time() - busy) / count


if __name__ == "__main__":
    main()
