"""Uploads segments to the object store while the encoder writes the next ones."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gostream_shared.concurrency import task_group, wait_at_most
from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore
from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.media_units import CLOCK
from gostream_worker.metrics import UPLOADED_BYTES
from gostream_worker.publish.measure import Measured, MeasuredSegments, measure
from gostream_worker.retry import patiently

#: Concurrent uploads.
POOL = 16
#: Seconds between two polls for finished segments: until every rendition has one, and after that.
FIRST_POLL_INTERVAL = 0.05
POLL_INTERVAL = 0.25
SEGMENT_TYPE = "video/mp2t"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
PICTURE_TYPE = "image/jpeg"
PREVIEW_TYPE = "image/webp"
CUES_TYPE = "text/vtt"
#: A day, because clients that have a copy do not ask whether the video may still be played.
IMMUTABLE = "public, max-age=86400, immutable"


class EncodeUploader:
    """Uploads one encode's objects below its prefix, and records them.

    `closing` changes each segment of a rendition before it is measured, in the order of the segments.
    """

    def __init__(
        self,
        store: ObjectStore,
        prefix: str,
        *,
        patience: float,
        closing: Callable[[Path, bytes], bytes] = lambda _, data: data,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self.patience = patience
        self._closing = closing
        self._pool = asyncio.Semaphore(POOL)
        #: By rendition. Tasks acquire a lock in the order in which they ask for it.
        self._turns: dict[str, asyncio.Lock] = {}
        #: Key → size of every uploaded object.
        self.uploaded: dict[str, int] = {}
        #: The stored segments of each rendition.
        self.measured: dict[str, dict[str, Measured]] = {}
        #: The SHA-256 of each stored segment by its path below the prefix, in hexadecimal.
        self.digests: dict[str, str] = {}
        #: Called after every stored segment with the second of the film at which it begins.
        self.on_stored: Callable[[float], None] = lambda _: None
        #: Set after every stored segment, and after the last one.
        self.news = asyncio.Event()

    async def follow(
        self, folder: Path, renditions: Sequence[str], encoded: asyncio.Event
    ) -> MeasuredSegments:
        """Uploads segments as they appear below `folder`/{rendition}/ until `encoded` is set.

        The encoder renames a segment when it is complete. Uploaded files are removed. Returns every
        rendition's segments in order.
        """
        self.measured = {name: {} for name in renditions}
        self._turns = {name: asyncio.Lock() for name in renditions}
        taken: set[Path] = set()
        async with task_group() as uploads:
            is_last = False
            while not is_last:
                is_last = encoded.is_set()
                for path in await asyncio.to_thread(_finished, folder, renditions, taken):
                    taken.add(path)
                    uploads.create_task(self._segment(path))
                if not is_last:
                    has_begun = all(self.measured.values())
                    await wait_at_most(encoded, POLL_INTERVAL if has_begun else FIRST_POLL_INTERVAL)
        self.news.set()
        return {name: dict(sorted(parts.items())) for name, parts in self.measured.items()}

    async def _segment(self, path: Path) -> None:
        rendition = path.parent.name
        async with self._pool:
            async with self._turns[rendition]:
                data, found, digest = await asyncio.to_thread(self._read, path)
            name = f"{rendition}/{path.name}"
            await self.put(name, data, content_type=SEGMENT_TYPE)
            self.digests[name] = digest
            self.measured[rendition][path.name] = found
            self.on_stored(found.first_pts / CLOCK - TIME_OFFSET)
            self.news.set()
            await asyncio.to_thread(path.unlink)

    def _read(self, path: Path) -> tuple[bytes, Measured, str]:
        data = self._closing(path, path.read_bytes())
        return data, measure(data), hashlib.sha256(data).hexdigest()

    async def put(self, name: str, data: bytes, *, content_type: str, cache_control: str = IMMUTABLE) -> None:
        """Stores one object below the prefix, by default as immutable. Raises BackendUnavailableError."""
        await patiently(
            lambda: self.put_once(name, data, content_type=content_type, cache_control=cache_control),
            patience=self.patience,
        )

    async def put_texts(self, texts: Mapping[str, str]) -> None:
        """Stores files of subtitles by path, some at a time. Raises BackendUnavailableError."""
        items = iter(texts.items())

        async def worker() -> None:
            for name, text in items:
                kind = PLAYLIST_TYPE if name.endswith(".m3u8") else CUES_TYPE
                await self.put(name, text.encode(), content_type=kind)

        async with task_group() as workers:
            for _ in range(POOL):
                workers.create_task(worker())

    async def verify(self) -> None:
        """Raises ProcessingFailedError unless the store has every uploaded object with its size."""
        stored = {found.key: found.size async for found in self._store.list(self._prefix)}
        wrong = [key for key, size in self.uploaded.items() if stored.get(key) != size]
        if wrong:
            raise ProcessingFailedError(Code.INTERNAL, f"missing from the store: {wrong[:5]}")

    def adopt(self, sizes: Mapping[str, int]) -> None:
        """Records objects that other workers have stored, by their path below the prefix."""
        self.uploaded |= {self._prefix + name: size for name, size in sizes.items()}

    async def text(self, name: str) -> str:
        """Returns an object below the prefix, or "" if there is none. Raises BackendUnavailableError."""
        try:
            data = await patiently(lambda: self._store.get(self._prefix + name), patience=self.patience)
        except ObjectNotFoundError:
            return ""
        return data.decode()

    async def put_once(self, name: str, data: bytes, *, content_type: str, cache_control: str) -> None:
        """Stores one object without retries. Raises BackendUnavailableError."""
        key = self._prefix + name
        await self._store.put(key, data, content_type=content_type, cache_control=cache_control)
        self.uploaded[key] = len(data)
        UPLOADED_BYTES.inc(len(data))


def _finished(folder: Path, renditions: Iterable[str], taken: set[Path]) -> list[Path]:
    return sorted(path for name in renditions for path in folder.glob(f"{name}/*.ts") if path not in taken)
