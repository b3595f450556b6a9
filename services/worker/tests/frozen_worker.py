"""A process that runs one attempt and suspends itself just before it writes the master.

Usage: `python -m services.worker.tests.frozen_worker ENCODE` with the encode as JSON. The process holds the
row lock at that moment; the database ends the transaction after a second without activity.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from aiohttp.http_writer import StreamWriter
from imageio_ffmpeg import get_ffmpeg_exe
from pydantic import TypeAdapter

from gostream_shared.config import load
from gostream_shared.db.connecting import pool as pools
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import FenceLostError
from gostream_shared.storage.s3 import S3ObjectStore
from gostream_worker.config import WorkerConfig
from gostream_worker.encode.encoder import Encoder
from gostream_worker.probe.limits import SourceLimits
from gostream_worker.publish.cdn import NoEdge
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.transcode_service import Dependencies, Settings, TranscodeService
from tests.support.profiles import QUICK_PROFILES

FENCE_LOST = 3


class Nobody:
    """Ignores announcements and progress."""

    async def announce(self, video_id: UUID, version: int) -> None: ...

    async def publish(self, encode: Encode, progress: Progress) -> None: ...


def stop_before_the_master() -> None:
    """Suspends the process once, at the write call that sends the master to the store.

    If suspended earlier, the process wakes after the transaction's deadline and does not write at all.
    """
    write, done = StreamWriter.write, asyncio.Event()

    async def stand_still(writer: StreamWriter, chunk: Any, **how: Any) -> None:
        if b"#EXT-X-STREAM-INF" in chunk and b"early-" not in chunk and not done.is_set():
            done.set()
            os.kill(os.getpid(), signal.SIGSTOP)
        await write(writer, chunk, **how)

    StreamWriter.write = stand_still  # type: ignore[assignment, method-assign]


async def main(encode: Encode) -> None:
    pools.TRANSACTION_TIMEOUT = 1.0
    config = load(WorkerConfig, os.environ)
    with WorkDirectory.open(config.work_dir) as work:
        async with (
            PostgresDatabase.open(DatabaseAddress.of(config)) as database,
            S3ObjectStore.open(config) as store,
        ):
            stop_before_the_master()
            outside = Dependencies(
                database=database, store=store, announcer=Nobody(), publisher=Nobody(), edge=NoEdge()
            )
            settings = Settings(
                profiles=QUICK_PROFILES,
                limits=SourceLimits(max_bytes=1 << 30, max_duration=3600),
                max_copied_bytes=1 << 30,
            )
            encoder = Encoder(Path(get_ffmpeg_exe()), memory=8 << 30)
            await TranscodeService(outside, encoder, work, settings).run(encode)


if __name__ == "__main__":
    try:
        asyncio.run(main(TypeAdapter(Encode).validate_json(sys.argv[1])))
    except FenceLostError:
        sys.exit(FENCE_LOST)
