"""The progress that `get` shows for a video that is being processed."""

import grpc
import pytest

from gostream_cli import commands
from gostream_cli.output import facts
from gostream_client import AsyncClient
from tests.support.fake_server import VIDEO_ID, ApiServer, Refusal, Video, processing, video

from .conftest import capture

#: GetVideo's response, which has no stage.
RUNNING = processing(0, stage="")


async def shown_by_get(client: AsyncClient) -> str:
    shown = capture()
    await commands.get(client, shown.out, VIDEO_ID, min_version=0)
    return shown.stdout.getvalue()


async def test_get_shows_the_progress_of_a_watch(client: AsyncClient, server: ApiServer) -> None:
    server.api.videos = [RUNNING]
    server.api.streams.append([processing(42), 60.0])
    assert "processing:\tencoding 42 %\n" in await shown_by_get(client)


@pytest.mark.parametrize(
    "stream",
    [
        [RUNNING, 60.0],
        [60.0],
        [],
        [Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", "TOO_MANY_REQUESTS")],
    ],
)
async def test_get_shows_no_progress_that_is_unknown(
    client: AsyncClient, server: ApiServer, stream: list[Video | Refusal | float]
) -> None:
    server.api.videos = [RUNNING]
    server.api.streams.append(stream)
    shown = await shown_by_get(client)
    assert "status:\tPROCESSING\n" in shown
    assert "processing:" not in shown


async def test_get_of_an_idle_video_opens_no_watch(client: AsyncClient, server: ApiServer) -> None:
    server.api.videos = [video(Video.STATUS_READY, 3)]
    await shown_by_get(client)
    assert len(server.api.requests) == 1


def test_later_attempt_is_shown_without_a_stage() -> None:
    later = video(Video.STATUS_PROCESSING, 2)
    later.processing.attempt = 2
    assert ("processing", "attempt 2") in facts(later)
