"""The primary of PostgreSQL crashes under writes, and its synchronous standby is promoted."""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from uuid import UUID, uuid4

import pytest

from gostream_devstack.fixtures import RedisSettings
from gostream_shared.concurrency import in_background
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.db.listen import keep_listening
from gostream_shared.db.migrate import migrate
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.repositories import NewVideo
from tests.faults.replicas import Fleet
from tests.support.servers.databases import Pair
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.slow]

_WRITERS = 4


@dataclass
class Writers:
    """Writes videos without a pause, and remembers which were acknowledged and when."""

    database: PostgresDatabase
    acknowledged: list[tuple[float, UUID]] = field(default_factory=list)
    refused: list[tuple[float, str]] = field(default_factory=list)

    async def write(self) -> None:
        while True:
            new = NewVideo(id=uuid4(), user_id="ann", title="Holiday", content_type="video/mp4")
            try:
                await self.database.videos.create(new)
            except BackendUnavailableError as error:
                self.refused.append((monotonic(), str(error.cause)))
                await asyncio.sleep(0.02)
            else:
                self.acknowledged.append((monotonic(), new.id))

    async def more(self, number: int) -> None:
        """Waits for that many further acknowledged writes."""
        enough = len(self.acknowledged) + number
        await eventually(lambda: len(self.acknowledged) >= enough)


async def test_promotion_loses_no_acknowledged_write(
    fresh_pair: Pair, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    pair = fresh_pair
    await migrate(pair.url)
    connections, heard = count(1), asyncio.Queue[str]()
    connected = 0

    def note_connection() -> None:
        nonlocal connected
        connected = next(connections)

    async with (
        Fleet.open(pair.url_of(pair.primary), redis_settings, tmp_path) as fleet,
        PostgresDatabase.open(pair.url, max_size=_WRITERS + 1) as database,
        in_background(
            keep_listening(pair.url, "gostream_changes", notified=heard.put_nowait, connected=note_connection)
        ),
    ):
        [replica] = await fleet.start(1, DATABASE_URL=pair.url)
        writers = Writers(database)
        epoch = await database.epochs.current("redis")
        async with in_background(*(writers.write() for _ in range(_WRITERS))):
            await writers.more(50)
            await eventually(lambda: connected == 1)
            await asyncio.to_thread(pair.primary.kill)
            crashed = monotonic()
            await eventually(lambda: any("no host is a primary" in cause for _, cause in writers.refused))
            begun = monotonic()
            await asyncio.to_thread(pair.standby.promote)
            promoted = monotonic()
            await writers.more(50)
            await eventually(lambda: connected == 2)
            listening = monotonic()
        first = next(when for when, _ in writers.acknowledged if when > begun)
        print(
            f"first write {first - crashed:.2f} s after the crash, promoted from {begun - crashed:.2f} s on; "
            f"first write {first - promoted:+.2f} s from the end of the promotion, "
            f"LISTEN {listening - promoted:+.2f} s; {len(writers.refused)} writes refused"
        )
        written = {video_id for _, video_id in writers.acknowledged}
        kept = await database.pool.fetch("SELECT id FROM videos WHERE id = ANY($1)", list(written))
        assert {row["id"] for row in kept} == written
        assert (await database.epochs.current("redis") or 0) > (epoch or 0)
        while not heard.empty():
            heard.get_nowait()
        video = await replica.client.create_video(title="after", size_bytes=4)
        async with asyncio.timeout(300):
            while video.video.id not in await heard.get():
                pass
