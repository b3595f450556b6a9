"""Progress reports end with their work, even if a cancellation is lost."""

import asyncio
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

import pytest

from gostream_shared.domain.encode import Encode, Progress
from gostream_shared.domain.errors import FenceLostError
from gostream_shared.domain.repositories import EncodeRepository
from gostream_worker.encode.progress_parser import EncoderProgress
from gostream_worker.progress import ProgressReporter

ENCODE = Encode(video_id=UUID(int=1), number=1, attempt=1, forgiven=0)


class Rows:
    """Accepts every report until the fence is lost."""

    def __init__(self) -> None:
        self.is_lost = False

    async def report_progress(self, encode: Encode, progress: Progress) -> None:
        if self.is_lost:
            raise FenceLostError(encode.video_id, encode.number, encode.attempt)


class DeafPublisher:
    """Swallows the first cancellation, as a busy database driver may."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def publish(self, encode: Encode, progress: Progress) -> None:
        self.reached.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def test_reports_end_although_a_cancellation_was_lost() -> None:
    publisher = DeafPublisher()
    reporter = ProgressReporter(ENCODE, cast("EncodeRepository", Rows()), publisher)

    async with asyncio.timeout(300):
        async with reporter.reporting():
            await publisher.reached.wait()


async def test_reports_end_after_failed_work() -> None:
    publisher = DeafPublisher()
    reporter = ProgressReporter(ENCODE, cast("EncodeRepository", Rows()), publisher)

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(300):
            async with reporter.reporting():
                await publisher.reached.wait()
                raise ZeroDivisionError


async def test_work_ends_when_its_fence_is_lost() -> None:
    class Publisher:
        async def publish(self, *_: Any) -> None:
            rows.is_lost = True

    rows = Rows()
    reporter = ProgressReporter(ENCODE, cast("EncodeRepository", rows), Publisher())

    with pytest.raises(FenceLostError):
        async with asyncio.timeout(300):
            async with reporter.reporting():
                await asyncio.Event().wait()


async def test_stored_segments_are_progress_before_the_encoder_reports() -> None:
    heard: list[Progress] = []

    class Publisher:
        async def publish(self, _: Encode, progress: Progress) -> None:
            heard.append(progress)
            published.set()

    published = asyncio.Event()
    reporter = ProgressReporter(ENCODE, cast("EncodeRepository", Rows()), Publisher())
    reporter.enter("encoding")
    reporter.note_encoder(100, EncoderProgress(frames=0, position=None, speed=None))
    reporter.note_stored(100, 50)
    async with asyncio.timeout(300):
        async with reporter.reporting():
            await published.wait()

    assert (heard[0].stage, heard[0].percent) == ("encoding", 51)


def test_encoder_reports_take_precedence_over_stored_segments() -> None:
    reporter = ProgressReporter(ENCODE, cast("EncodeRepository", Rows()), DeafPublisher())
    reporter.note_encoder(100, EncoderProgress(frames=9, position=50, speed=2.0))
    reporter.note_stored(100, 60)

    assert reporter._progress.percent == 51
    assert reporter._progress.speed == 2.0
