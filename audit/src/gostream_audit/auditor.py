"""The audit: follow a committed version until every replica answers it, and accuse those that do not."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import structlog

from gostream_audit.change_feed import Change
from gostream_audit.metrics import AUDITED, INCONSISTENT, SKIPPED, STALENESS
from gostream_audit.replicas import NoAnswerError, Replica
from gostream_shared.domain.errors import BackendUnavailableError, VideoNotFoundError
from gostream_shared.domain.repositories import VideoRepository

_log = structlog.get_logger(__name__)

#: Seconds after the commit at which a replica is asked, as long as its answers are old.
_QUESTIONS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
#: Changes that are followed at the same time.
_MOST = 200


@dataclass(frozen=True, slots=True)
class Truth:
    """What the database holds."""

    version: int
    exists: bool


class Auditor:
    """Follows changes. `inconsistent` counts the accusations that the database confirmed.

    A replica is accused when it answers an older version more than `tolerance` seconds after the commit,
    which is the longest that docs/explanation/caching.md permits.
    """

    def __init__(
        self, replicas: Callable[[], Mapping[str, Replica]], videos: VideoRepository, *, tolerance: float
    ) -> None:
        self._replicas = replicas
        self._videos = videos
        self._tolerance = tolerance
        self.inconsistent = 0

    async def run(self, changes: asyncio.Queue[Change], *, at_most: int | None = None) -> None:
        """Follow what comes, until cancelled or until `at_most` changes were followed."""
        followed, under_way = 0, asyncio.Semaphore(_MOST)
        async with asyncio.TaskGroup() as tasks:
            while at_most is None or followed < at_most:
                change = await changes.get()
                if under_way.locked():
                    SKIPPED.inc()
                    continue
                followed += 1
                await under_way.acquire()
                task = tasks.create_task(self.follow(change), name=f"audit {change.video_id}")
                task.add_done_callback(lambda _: under_way.release())

    async def follow(self, change: Change) -> None:
        """Ask every replica for one change until all are current or accused."""
        await asyncio.gather(*(self._follow_at(change, each) for each in self._replicas().values()))
        AUDITED.inc()

    async def _follow_at(self, change: Change, replica: Replica) -> None:
        answered: int | None = None
        for question in (*_QUESTIONS, self._tolerance):
            await asyncio.sleep(change.heard + question - monotonic())
            asked = monotonic()
            try:
                answered = await replica.version_of(change.video_id)
                if await self._is_current(change, answered):
                    STALENESS.observe(asked - change.heard)
                    return
            except (NoAnswerError, BackendUnavailableError):
                continue
            if asked - change.heard > self._tolerance:
                break
        else:
            return  # it did not answer when it mattered: neither current nor accused
        await self._accuse(change, replica, answered)

    async def _is_current(self, change: Change, answered: int | None) -> bool:
        """A version can be compared; "no such video" only the database can judge."""
        if answered is not None:
            return answered >= change.version
        return not (await self._truth(change.video_id)).exists

    async def _accuse(self, change: Change, replica: Replica, answered: int | None) -> None:
        try:
            truth = await self._truth(change.video_id)
        except BackendUnavailableError:
            return
        if truth.version < change.version:
            return  # a failover lost that version: then nobody has it
        self.inconsistent += 1
        INCONSISTENT.labels(replica.address).inc()
        STALENESS.observe(monotonic() - change.heard)
        _log.error(
            "a replica answers an old version",
            replica=replica.address,
            video_id=str(change.video_id),
            answered=answered,
            committed=change.version,
            current=truth.version,
        )

    async def _truth(self, video_id: UUID) -> Truth:
        try:
            video = await self._videos.get(video_id)
        except VideoNotFoundError as error:
            return Truth(error.version, exists=False)
        return Truth(video.version, exists=True)
