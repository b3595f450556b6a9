"""A backup is restored while Redis keeps the entries that were newer than it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from gostream_devstack.fixtures import RedisSettings
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.postgres import Postgres
from gostream_devstack.servers.postgresql.standby import Standby
from gostream_shared.db.migrate import migrate
from tests.faults.replicas import Fleet, Replica

pytestmark = [pytest.mark.stack, pytest.mark.slow]


class Copy(Standby):
    """A server on a copy of the primary's files: of its timeline, as one on a snapshot of the volume."""

    def prepare(self) -> None:
        super().prepare()
        (self.directory / "data/standby.signal").unlink(missing_ok=True)


@pytest.fixture
async def fleet(database_url: str, redis_settings: RedisSettings, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with Fleet.open(database_url, redis_settings, tmp_path) as opened:
        yield opened


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directories]:
    home = Directories.at(tmp_path_factory.mktemp("clusters"))
    yield home
    home.remove()


async def stop(replica: Replica) -> None:
    replica.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(replica.process.wait, 60)


async def run(*command: str | Path) -> None:
    """Runs a program of PostgreSQL, or gostream-migrate."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def change_and_read(fleet: Fleet, replica: Replica, videos: list[UUID], title: str) -> None:
    """Changes each video, and has Redis and the replica keep what they became."""
    for video_id in videos:
        await fleet.change(video_id, title)
        await fleet.outbox_is_empty()
        await replica.answers(video_id, title, layer="L1")


async def read_all(fleet: Fleet, replica: Replica) -> None:
    """Asserts that every video is answered as the database has it."""
    rows = await fleet.database.fetch("SELECT id, title, version FROM videos WHERE title <> 'probe'")
    assert len(rows) == 2
    for row in rows:
        for _ in range(3):
            video = (await replica.get(row["id"])).video
            assert (video.title, video.version) == (row["title"], row["version"])


async def test_restored_dump_is_not_read_through_newer_entries(
    fleet: Fleet, postgres_server: Postgres, tmp_path: Path
) -> None:
    dump = tmp_path / "gostream.dump"
    [replica] = await fleet.start(1)
    videos = [await fleet.new_video("begun") for _ in range(2)]
    await change_and_read(fleet, replica, videos, "backed up")
    source = ["--format=custom", f"--file={dump}", fleet.database_url]
    await run(postgres_server.programs / "pg_dump", *source)
    await change_and_read(fleet, replica, videos, "lost")
    await stop(replica)

    target = ["--clean", "--if-exists", f"--dbname={fleet.database_url}"]
    await run(postgres_server.programs / "pg_restore", *target, dump)
    await run(Path(sys.executable).with_name("gostream-migrate"), "up", "--database-url", fleet.database_url)
    await fleet.change(videos[0], "written again")  # the version that Redis has with another title

    [replica] = await fleet.start(1)
    await read_all(fleet, replica)
    await change_and_read(fleet, replica, videos, "after")


async def test_copied_cluster_begins_an_epoch_when_told(
    redis_settings: RedisSettings, home: Directories, tmp_path: Path
) -> None:
    ports = Ports({})
    primary = Postgres(home, ports.pick("primary"), "copied", name="primary")
    copy = Copy(home, primary, ports.pick("copy"), "copy")
    try:
        await asyncio.to_thread(primary.start)
        await migrate(primary.url)
        async with Fleet.open(primary.url, redis_settings, tmp_path) as fleet:
            [replica] = await fleet.start(1)
            videos = [await fleet.new_video("begun") for _ in range(2)]
            await change_and_read(fleet, replica, videos, "backed up")
            await asyncio.to_thread(copy.start)
            await change_and_read(fleet, replica, videos, "lost")
            await stop(replica)
        await asyncio.to_thread(primary.stop)

        await run(Path(sys.executable).with_name("gostream-migrate"), "restored", "--database-url", copy.url)
        async with Fleet.open(copy.url, redis_settings, tmp_path) as fleet:
            await fleet.change(videos[0], "written again")
            [replica] = await fleet.start(1)
            await read_all(fleet, replica)
            await change_and_read(fleet, replica, videos, "after")
    finally:
        copy.stop()
        primary.stop()
