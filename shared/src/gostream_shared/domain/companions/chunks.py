"""The chunks of encodes: pieces of a film that any worker may encode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from gostream_shared.domain.encode import Encode, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """A chunk to encode.

    `kind`: picture, sound or copy. `frames`: None = up to the end of the film. `seconds` of the film that it
    adds to the progress; 0 for chunks next to the picture.
    """

    chunk: int
    kind: str
    start_frame: int = 0
    frames: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTry:
    """One execution of a chunk by one worker. `tries` is its number and the fence of the chunk.

    `encode` has the attempt that made the plan, which is the fence of everything that viewers see. `plan` is
    the JSON that `add` stored. `forgiven` earlier tries do not count.
    """

    encode: Encode
    chunk: int
    kind: str
    start_frame: int
    frames: int | None
    tries: int
    forgiven: int
    plan: str

    @property
    def counted(self) -> int:
        """The number of tries that count, including this one."""
        return self.tries - self.forgiven


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What a try has stored. `segments` and `listed` are JSON; `files` are bytes by name."""

    segments: str
    listed: str
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneChunk:
    """A chunk that is done, in `tries` tries."""

    chunk: int
    tries: int
    segments: str
    files: Mapping[str, bytes]


class Chunks(Protocol):
    """The chunks of encodes. Every method raises BackendUnavailableError.

    No method changes a version of a video. The chunks of an encode disappear when it is over.
    """

    async def add(self, encode: Encode, plan: str, chunks: Sequence[NewChunk]) -> None:
        """Add the chunks of a planned encode. Requires the lock of `EncodeRepository.lock_for_publish`."""
        ...

    async def release(self, video_id: UUID, number: int, *, at_most: int) -> list[int]:
        """Returns the next chunks without a job, for which the caller enqueues jobs in this transaction."""
        ...

    async def begin(self, video_id: UUID, number: int, chunk: int, *, worker: str) -> ChunkTry:
        """Begin a try; an earlier try of this chunk loses its fence.

        Raises FenceLostError if the chunk is done or the encode is over.
        """
        ...

    async def forgive(self, running: ChunkTry) -> None:
        """Do not count this try: the chunk did not cause its end. Raises FenceLostError."""
        ...

    async def note_outage(self, running: ChunkTry) -> timedelta:
        """Forgive a try that an outage ended. Returns the duration of the outage so far.

        It lasts until a chunk of the encode is done. Raises FenceLostError.
        """
        ...

    async def report(
        self, running: ChunkTry, *, position: float, speed: float | None, listed: str | None = None
    ) -> Progress:
        """Store the position in seconds of the chunk. Returns the progress of the film.

        Its percentage never falls, its speed is that of all running chunks. Raises FenceLostError.
        """
        ...

    async def end(self, running: ChunkTry, result: ChunkResult) -> int:
        """Mark the chunk as done. Returns how many are left. Requires a transaction.

        The row of the video is locked until its end, so exactly one transaction sees 0. Raises
        FenceLostError.
        """
        ...

    async def begin_finish(self, video_id: UUID, number: int, *, worker: str) -> Encode:
        """Begin to publish a film whose chunks are done.

        The first time it is the attempt that made the plan, later times begin a new attempt. Requires a
        transaction. Raises FenceLostError.
        """
        ...

    async def plan_of(self, video_id: UUID, number: int) -> str | None:
        """Returns the plan that `add` stored, None if the encode is over."""
        ...

    async def done(self, video_id: UUID, number: int) -> list[DoneChunk]:
        """Returns all chunks that are done, in order."""
        ...

    async def listed(self, video_id: UUID, number: int) -> list[tuple[str, bool, str | None]]:
        """Returns kind, whether it is done, and what is listed, of each chunk in order."""
        ...

    async def may_list(self, encode: Encode, *, pause: float) -> bool:
        """Returns whether the lists last grew `pause` seconds ago, and takes the turn if so."""
        ...

    async def plan_anew(self, encode: Encode) -> None:
        """Stop the chunks: the next attempt makes a new plan. Requires a transaction.

        Raises FenceLostError.
        """
        ...
