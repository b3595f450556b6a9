"""The worker's pipeline, from download to publication, over an in-memory database and store.

`python -m tests.corpus.pipeline FILE…` processes files and prints one line of JSON for each.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.domain.companions.added_tracks import AddedTrack
from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.jobs import Job
from gostream_shared.domain.object_keys import encode_prefix, hls_prefix, source_key
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Publication, Video, VideoStatus
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, StoredObject
from gostream_worker.encode.encoder import Encoder, Patience
from gostream_worker.failures import FailureClass, ProcessingFailedError
from gostream_worker.object_names import is_of_attempt
from gostream_worker.probe.limits import SourceLimits
from gostream_worker.source.work_directory import WorkDirectory
from gostream_worker.transcode_service import Dependencies, Settings, TranscodeService
from tests.support.profiles import QUICK_PROFILES

READY = "READY"
#: Deadline in seconds for any file of the corpus on a busy machine.
DEADLINE = 110.0
#: Address space of one child in bytes, far below the machine's memory.
ENCODER_MEMORY = 3 << 30
#: A title that no component may interpret.
TITLE = "../../etc/%d$(reboot)`id`\n'\"; --help -i /etc/passwd"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one file."""

    code: str  # READY or a code of gostream_worker.failures
    publication: Publication | None = None
    published: dict[str, bytes] = field(default_factory=dict)  # by path below hls/{id}/
    left_behind: list[str] = field(default_factory=list)
    detail: str = ""
    log: str = ""

    @property
    def is_visible(self) -> bool:
        """Whether viewers can see any output."""
        return self.publication is not None or "master.m3u8" in self.published


class Pipeline:
    """One worker's pipeline, for one file at a time."""

    def __init__(self, work: WorkDirectory, folder: Path, patience: Patience, *, streams: bool) -> None:
        self._folder = folder
        self._store = _Store()
        self._videos = _Videos()
        outside = Dependencies(
            # The fakes implement only the methods that the pipeline calls.
            database=cast("Database", _Database(self._videos)),
            store=cast("ObjectStore", self._store),
            announcer=_Nobody(),
            publisher=_Nobody(),
            edge=_Nobody(),
        )
        settings = Settings(
            profiles=QUICK_PROFILES,
            limits=SourceLimits(max_bytes=1 << 30, max_duration=12 * 3600),
            step_patience=0.0,
            max_copied_bytes=0 if streams else 1 << 30,
            chunk_window=0,  # chunks need a queue
        )
        encoder = Encoder(Path(get_ffmpeg_exe()), memory=ENCODER_MEMORY, patience=patience)
        self._service = TranscodeService(outside, encoder, work, settings)

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, patience: Patience | None = None, *, streams: bool = False
    ) -> Iterator["Pipeline"]:
        """Opens a pipeline. With `streams`, sources are streamed, not copied."""
        with WorkDirectory.open(folder) as work:
            yield cls(work, folder, patience or Patience(), streams=streams)

    async def run(self, source: Path) -> Outcome:
        """Processes one file; retries internal failures. Raises only unclassified errors."""
        video_id = uuid4()
        self._store.files[source_key(video_id)] = source
        self._videos.rows[video_id] = _video(video_id)
        for attempt in range(1, FailureClass.INTERNAL.value + 1):
            code, detail, log = READY, "", ""
            try:
                async with asyncio.timeout(DEADLINE):
                    await self._service.run(Encode(video_id=video_id, number=1, attempt=attempt))
            except ProcessingFailedError as error:
                code, detail, log = str(error.code), error.detail, error.log_tail
                if error.failure_class is FailureClass.INTERNAL:
                    continue
            break
        if code == READY:
            self._store.keep_attempt(encode_prefix(video_id, 1), attempt)
        return Outcome(
            code=code,
            publication=self._videos.rows[video_id].publication,
            published=self._store.below(hls_prefix(video_id)),
            left_behind=[str(path) for path in self._folder.glob("worker-*/*") if path.name != ".lock"],
            detail=detail,
            log=log,
        )


def largest_child() -> int:
    """Peak resident bytes of any child that this process has waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _video(video_id: UUID) -> Video:
    now = datetime.now(UTC)
    return Video(
        id=video_id,
        user_id="someone",
        title=TITLE,
        status=VideoStatus.PROCESSING,
        version=1,
        content_type="video/mp4",
        created_at=now,
        updated_at=now,
        encode_number=1,
        attempt=1,
    )


class _Store:
    """Links source files instead of copying them, and keeps uploaded objects in memory."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self._objects: dict[str, bytes] = {}

    def below(self, prefix: str) -> dict[str, bytes]:
        found = self._objects.items()
        return {key.removeprefix(prefix): data for key, data in found if key.startswith(prefix)}

    def keep_attempt(self, prefix: str, attempt: int) -> None:
        """Removes what other attempts left, as the worker's removal job does later."""
        left = [
            key
            for key in self._objects
            if key.startswith(prefix)
            and "/" in key.removeprefix(prefix)
            and not is_of_attempt(key.rpartition("/")[2], attempt)
        ]
        for key in left:
            del self._objects[key]

    async def head(self, key: str) -> StoredObject:
        if key not in self.files:
            raise ObjectNotFoundError(key)
        return StoredObject(key=key, size=self.files[key].stat().st_size, etag="1")

    async def put(self, key: str, body: bytes | Path, *, content_type: str, cache_control: str = "") -> None:
        self._objects[key] = body if isinstance(body, bytes) else await asyncio.to_thread(body.read_bytes)

    async def replace(
        self, key: str, body: bytes, *, etag: str | None, content_type: str, cache_control: str = ""
    ) -> None:
        await self.put(key, body, content_type=content_type)

    async def get(self, key: str) -> bytes:
        if key not in self._objects:
            raise ObjectNotFoundError(key)
        return self._objects[key]

    async def download(self, key: str, to: Path, *, etag: str) -> None:
        await asyncio.to_thread(os.link, self.files[key], to)

    async def read_range(self, key: str, *, start: int, size: int, etag: str) -> bytes:
        with await asyncio.to_thread(self.files[key].open, "rb") as file:
            file.seek(start)
            return file.read(size)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        for key, data in list(self._objects.items()):
            if key.startswith(prefix):
                yield StoredObject(key=key, size=len(data), etag="1")


class _Videos:
    def __init__(self) -> None:
        self.rows: dict[UUID, Video] = {}

    async def get(self, video_id: UUID) -> Video:
        return self.rows[video_id]

    async def progress(self, video_id: UUID, number: int) -> Progress | None:
        return None

    async def report_progress(self, encode: Encode, progress: Progress) -> None: ...

    async def lock_for_publish(self, encode: Encode) -> None: ...

    async def mark_video_playable(self, encode: Encode) -> Video:
        return self.rows[encode.video_id]

    async def mark_video_ready(self, encode: Encode, publication: Publication) -> Video:
        ready = dataclasses.replace(
            self.rows[encode.video_id], status=VideoStatus.READY, publication=publication
        )
        self.rows[encode.video_id] = ready
        return ready


class _Database:
    def __init__(self, videos: _Videos) -> None:
        self.videos = videos
        self.encodes = videos
        self.jobs = self.usages = self.remote_sources = self.added_tracks = _Nobody()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["_Database"]:
        yield self


class _Nobody:
    """Ignores announcements, progress, new masters, jobs and sizes. Knows nothing of a video."""

    async def announce(self, video_id: UUID, version: int) -> None: ...

    async def publish(self, encode: Encode, progress: Progress) -> None: ...

    async def refresh_master(self, video_id: UUID) -> None: ...

    async def enqueue(self, job: Job, *, delay: timedelta) -> None: ...

    async def note_stored(self, video_id: UUID, number: int, size: int) -> None: ...

    async def get(self, video_id: UUID) -> None: ...

    async def of_video(self, video_id: UUID) -> list[AddedTrack]:
        return []


async def _run_all(sources: list[Path], folder: Path, *, streams: bool) -> None:
    with Pipeline.open(folder, streams=streams) as pipeline:
        for source in sources:
            outcome = await pipeline.run(source)
            line = {"source": str(source), "code": outcome.code, "published": sorted(outcome.published)}
            sys.stdout.write(json.dumps(line) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="+", type=Path)
    parser.add_argument("--folder", type=Path, help="where the work directories are made")
    parser.add_argument("--stream", action="store_true", help="copy no source to the work directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(_run_all(options.source, options.folder or Path(temporary), streams=options.stream))


if __name__ == "__main__":
    main()
