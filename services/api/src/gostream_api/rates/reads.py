"""Limits how often an owner reads by id, in one process."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TypeVar
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.reads.ports import LocalVideoReader, Read, VideoReply
from gostream_shared.domain.errors import RateLimitedError

Found = TypeVar("Found")

#: Owners to keep; if there are more, those without a recent read are dropped.
_OWNERS = 100_000


class ReadRate:
    """The generic cell rate algorithm: `per_second` reads for each owner, of which a second's may be at once.

    For each owner it keeps the time at which all its reads would be due if they came evenly.
    """

    def __init__(self, per_second: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._due: dict[str, float] = {}

    def take(self, owner: str) -> None:
        """Count a read. Raises RateLimitedError."""
        now = self._clock()
        due = max(self._due.get(owner, now), now) + self._interval
        # Half an interval of tolerance, because sums of intervals are not exact.
        if (early := due - now - 1.0 - self._interval / 2) > 0:
            raise RateLimitedError("reads", retry_after=early)
        if len(self._due) >= _OWNERS and owner not in self._due:
            self._due = {each: when for each, when in self._due.items() if when > now}
        self._due[owner] = due

    def give_back(self, owner: str) -> None:
        """Do not count the latest read."""
        if owner in self._due:
            self._due[owner] -= self._interval


class RatedReads:
    """A LocalVideoReader that counts each call for the owner of its caller. A batch counts once.

    A look at L1 that finds nothing does not count, because the same call reads again.
    """

    def __init__(self, reads: LocalVideoReader, rate: ReadRate) -> None:
        self._reads = reads
        self._rate = rate

    async def get_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> Read:
        self._rate.take(caller.owner)
        return await self._reads.get_video(caller, video_id, min_version=min_version)

    async def get_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        self._rate.take(caller.owner)
        return await self._reads.get_videos(caller, video_ids)

    def peek_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> bytes | None:
        self._rate.take(caller.owner)
        found = self._reads.peek_video(caller, video_id, min_version=min_version)
        return self._counted(caller, found)

    def peek_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> list[bytes] | None:
        self._rate.take(caller.owner)
        return self._counted(caller, self._reads.peek_videos(caller, video_ids))

    def peek_reply(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> VideoReply | None:
        self._rate.take(caller.owner)
        found = self._reads.peek_reply(caller, video_id, min_version=min_version)
        return self._counted(caller, found)

    def peek_replies(self, caller: Principal, video_ids: Sequence[UUID]) -> list[VideoReply] | None:
        self._rate.take(caller.owner)
        return self._counted(caller, self._reads.peek_replies(caller, video_ids))

    def keep_json(self, video_id: UUID, reply: VideoReply, json: bytes) -> None:
        self._reads.keep_json(video_id, reply, json)

    def _counted(self, caller: Principal, found: Found) -> Found:
        if found is None:
            self._rate.give_back(caller.owner)
        return found
