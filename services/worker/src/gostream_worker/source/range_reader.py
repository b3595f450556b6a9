"""Reads a large object in blocks, a little ahead of its readers. Each block is fetched once for all."""

import asyncio
from collections.abc import AsyncIterator

from gostream_shared.storage.port import ObjectNotFoundError, ObjectStore, StoredObject
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.retry import patiently

#: Bytes of one request to the store.
BLOCK = 4 << 20
#: Blocks fetched ahead of a sequential reader, and blocks kept for readers that seek back.
READ_AHEAD = 3
KEPT = 8
#: Concurrent requests to the store.
_REQUESTS = READ_AHEAD + 1


class ObjectBlocks:
    """One version of one object. Holds at most KEPT blocks, plus _REQUESTS in flight.

    Blocks are fetched by tasks of the given group, so a failed fetch ends its owner: with
    BackendUnavailableError if the store is unavailable for longer than `patience` seconds, and with
    ProcessingFailedError if the object changed.
    """

    def __init__(
        self, store: ObjectStore, found: StoredObject, tasks: asyncio.TaskGroup, *, patience: float
    ) -> None:
        self.size = found.size
        self._store = store
        self._found = found
        self._tasks = tasks
        self._patience = patience
        self._requests = asyncio.Semaphore(_REQUESTS)
        #: Least recently requested first.
        self._blocks: dict[int, asyncio.Task[bytes]] = {}

    async def read(self, start: int, stop: int) -> AsyncIterator[memoryview]:
        """Yields the bytes from `start` to `stop` in pieces.

        Read-ahead grows while a reader is sequential.
        """
        first = start // BLOCK
        for number in range(first, (stop - 1) // BLOCK + 1):
            wanted = self._ask(number)
            until = min(number + min(number - first, READ_AHEAD), (stop - 1) // BLOCK)
            for ahead in range(number + 1, until + 1):
                self._ask(ahead)
            # Other readers may wait for the same block, so cancelling one does not cancel the fetch.
            block = memoryview(await asyncio.shield(wanted))
            yield block[max(0, start - number * BLOCK) : stop - number * BLOCK]

    def close(self) -> None:
        """Cancels the fetches in flight. They do not fail the attempt."""
        for task in self._blocks.values():
            task.cancel()

    def _ask(self, number: int) -> asyncio.Task[bytes]:
        task = self._blocks.pop(number, None) or self._begin(number)
        self._blocks[number] = task
        return task

    def _begin(self, number: int) -> asyncio.Task[bytes]:
        fetching = self._fetch(number)
        try:
            task = self._tasks.create_task(fetching)
        except RuntimeError:  # the group is ending
            fetching.close()
            raise ConnectionResetError("the attempt is over") from None
        return task

    def _make_room(self) -> None:
        """Drops the least recently used blocks, so that one more can be kept."""
        done = [number for number, task in self._blocks.items() if task.done()]
        for number in done[: max(0, len(done) + 1 - KEPT)]:
            del self._blocks[number]

    async def _fetch(self, number: int) -> bytes:
        start = number * BLOCK
        size = min(BLOCK, self.size - start)
        key, etag = self._found.key, self._found.etag
        async with self._requests:
            try:
                data = await patiently(
                    lambda: self._store.read_range(key, start=start, size=size, etag=etag),
                    patience=self._patience,
                )
            except ObjectNotFoundError:
                raise ProcessingFailedError(Code.SOURCE_REPLACED, key) from None
        if len(data) < size:
            raise ProcessingFailedError(
                Code.TRUNCATED, f"{start + len(data)} of {self.size} bytes are stored"
            )
        self._make_room()
        return data
