"""The processor time of reads in the process of the API, without transport: `python -m benchmarks.costs`.

`PYTHONPATH=old/services/api/src:old/shared/src` measures the sources of another commit with the same command.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median
from typing import Any, cast

import uvloop

from benchmarks.cached import open_cached
from benchmarks.report import table, write_report
from benchmarks.servers import running_servers
from gostream.v1.video_service_pb2 import BatchGetVideosRequest, ListVideosRequest
from gostream_api.collector import spare_the_collector
from gostream_api.principal import ANONYMOUS
from gostream_api.reads.cached_video_service import CachedVideoService
from gostream_api.reads.ports import Layer
from gostream_api.rpc.convert import encode_video
from gostream_api.rpc.encoded_reads import batch_get_videos, batch_get_videos_locally
from gostream_api.rpc.interceptors.base import Asked
from gostream_api.rpc.servicer import VideoServicer, method_handlers
from gostream_api.rpc.validation import SizeRule
from gostream_api.videos.video_service import VideoService
from gostream_shared.config import Config
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.video import Video
from gostream_shared.observability.logs import configure_logs

PAGE = 1000
BATCH = 100
_CDN = "https://cdn.example.com"

_RUNGS = [("1080p", 1920, 1080), ("720p", 1280, 720), ("480p", 854, 480), ("360p", 640, 360)]
_PUBLICATION = {
    "duration": "PT1M32.5S",
    "source": {"container": "mov", "codecs": ["h264", "aac"], "size_bytes": 123_456_789, "fps": 29.97},
    "renditions": [
        {
            "name": name,
            "width": width,
            "height": height,
            "codecs": "avc1.640028,mp4a.40.2",
            "average_bandwidth": 1000 * height,
            "peak_bandwidth": 1200 * height,
        }
        for name, width, height in _RUNGS
    ],
    "poster": "v1/poster.jpg",
    "storyboard": "v1/storyboard.vtt",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.costs",
        description="Measures processor time of conversions, pages and batches; medians of rounds.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each kind")
    parser.add_argument("--name", default="costs", help="name of the file in benchmarks/results")
    options = parser.parse_args()
    configure_logs(service="bench", level="CRITICAL", form="console")
    with running_servers() as servers:
        part = uvloop.run(_measure(servers.config(), options.rounds))
    write_report(options.name, "Processor time of reads", part)


async def _measure(config: Config, rounds: int) -> str:
    async with AsyncExitStack() as stack:
        url = config.database_url.get_secret_value()
        database = await stack.enter_async_context(PostgresDatabase.open(url))
        await _make_videos(database)
        _, service = await stack.enter_async_context(open_cached(config, database))
        videos = [row["id"] for row in await database.pool.fetch("SELECT id FROM videos LIMIT $1", BATCH)]
        request = BatchGetVideosRequest(ids=map(str, videos)).SerializeToString()
        await batch_get_videos(service, ANONYMOUS, request)
        one = await database.videos.get(videos[0])
        spare_the_collector()
        page = _lister(database, service)

        async def new_page() -> bytes:
            return await _lister(database, service)()  # has kept no rows

        times = {
            "conversion of a published video, 4 renditions": [_conversion(one) for _ in range(rounds)],
            "row of a ListVideos page of 1,000": [await _cpu(new_page) / PAGE for _ in range(rounds)],
            "the same, read again": [await _cpu(page) / PAGE for _ in range(rounds)],
            "batch of 100 from L1": [await _local_batch(service, request) for _ in range(rounds)],
            "batch of 100 from Redis": [await _redis_batch(service, request) for _ in range(rounds)],
            "longest pause of other tasks during the page": [await _pause(new_page) for _ in range(rounds)],
        }
    rows = [(name, f"{median(each) * 1e6:,.1f}") for name, each in times.items()]
    return table(("processor time, the last row elapsed time", "µs"), rows)


async def _make_videos(database: PostgresDatabase) -> None:
    """Creates a page of published videos."""
    await database.pool.execute(
        """INSERT INTO videos (id, user_id, title, content_type, status, encode_number, attempt,
          published_number, ready_at, publication)
        SELECT gen_random_uuid(), 'u1', 'A title of usual length', 'video/mp4', 'READY', 1, 1,
          1, now(), $2::jsonb
        FROM generate_series(1, $1)""",
        PAGE,
        json.dumps(_PUBLICATION),
    )
    await database.pool.execute("TRUNCATE cache_outbox")  # no announcement empties the caches later


def _lister(database: PostgresDatabase, service: CachedVideoService) -> Callable[[], Awaitable[bytes]]:
    """Returns a function that answers ListVideos as the server does, to the encoded reply."""
    unused: Any = None
    servicer = VideoServicer(
        videos=VideoService(database=database, store=unused, announcer=unused, limits=unused),
        deletions=unused,
        ingest=unused,
        reads=service,
        watches=unused,
        playback=unused,
        cdn_base_url=_CDN,
        sizes=SizeRule(most=1, required=False),
    )
    handler = method_handlers(servicer)["ListVideos"]
    respond: Any = handler.unary_unary
    encode = cast("Callable[[Any], bytes]", handler.response_serializer or bytes)
    request = Asked(ANONYMOUS, ListVideosRequest(page_size=PAGE), "id")

    async def page() -> bytes:
        return encode(await respond(request, None))

    return page


def _conversion(video: Video, count: int = 2000) -> float:
    begun = time.process_time()
    for _ in range(count):
        encode_video(video, _CDN)
    return (time.process_time() - begun) / count


async def _local_batch(service: CachedVideoService, request: bytes, count: int = 50) -> float:
    # The conversions delayed the heartbeats.
    while batch_get_videos_locally(service, ANONYMOUS, request) is None:
        await batch_get_videos(service, ANONYMOUS, request)
        await asyncio.sleep(0.1)
    begun = time.process_time()
    for _ in range(count):
        assert batch_get_videos_locally(service, ANONYMOUS, request)
    return (time.process_time() - begun) / count


async def _redis_batch(service: CachedVideoService, request: bytes) -> float:
    while True:
        service.reset()  # empties L1
        begun = time.process_time()
        _, layer = await batch_get_videos(service, ANONYMOUS, request)
        if layer is Layer.L2:  # otherwise heartbeats are late, and Redis is not trusted
            return time.process_time() - begun
        await asyncio.sleep(0.1)


async def _cpu(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.process_time()
    await call()
    return time.process_time() - begun


async def _pause(call: Callable[[], Awaitable[object]]) -> float:
    """Returns the longest time for which another task did not run during the call."""
    running = asyncio.ensure_future(call())
    longest = 0.0
    while not running.done():
        begun = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - begun)
    return longest


if __name__ == "__main__":
    main()
