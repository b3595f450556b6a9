"""The commands that decide who may play a video, on a scripted server."""

from datetime import timedelta
from pathlib import Path

import pytest

from gostream.v1 import video_pb2, video_service_pb2
from gostream_cli import commands
from gostream_cli.organize import commands as organize
from gostream_client import AsyncClient, GoStreamError
from tests.support.fake_server import VIDEO_ID, ApiServer

from .conftest import Gostream, capture

SIGNED_URL = f"http://localhost:8081/s/a.1790000000.1.x/hls/{VIDEO_ID}/master.m3u8"


@pytest.fixture
def signed(server: ApiServer) -> ApiServer:
    """A server with a signed video."""
    info = video_service_pb2.GetPlaybackInfoResponse(playback_url=SIGNED_URL)
    info.expire_time.FromSeconds(1_790_000_000)
    server.api.playback = info
    return server


async def test_playback_prints_the_signed_url(client: AsyncClient, signed: ApiServer) -> None:
    shown = capture()
    await commands.playback(client, shown.out, VIDEO_ID, minutes=90)

    [request] = signed.api.requests
    assert (request.id, request.ttl.ToTimedelta()) == (VIDEO_ID, timedelta(minutes=90))
    assert f"playback:\t{SIGNED_URL}\n" in shown.stdout.getvalue()
    assert "expires:\t2026-09-21" in shown.stdout.getvalue()


async def test_default_validity_is_the_servers(client: AsyncClient, signed: ApiServer) -> None:
    await commands.playback(client, capture().out, VIDEO_ID, minutes=None)

    assert not signed.api.requests[0].HasField("ttl")


async def test_video_without_urls_fails_the_command(client: AsyncClient, server: ApiServer) -> None:
    with pytest.raises(GoStreamError, match="cannot be played"):
        await commands.playback(client, capture().out, VIDEO_ID, minutes=None)


async def test_update_sends_the_policy(client: AsyncClient, server: ApiServer) -> None:
    shown = capture()
    await organize.update(client, shown.out, VIDEO_ID, labels={}, removed=(), etag="", policy="signed")

    [request] = server.api.requests
    assert request.video.playback_policy == video_pb2.PLAYBACK_POLICY_SIGNED
    assert list(request.update_mask.paths) == ["playback_policy"]
    assert "policy:\tsigned, epoch 2\n" in shown.stdout.getvalue()


async def test_revoke_shows_the_new_epoch(client: AsyncClient, server: ApiServer) -> None:
    shown = capture()
    await commands.revoke(client, shown.out, VIDEO_ID)

    assert "policy:\tsigned, epoch 3\n" in shown.stdout.getvalue()


async def test_unknown_policy_is_a_usage_error(gostream: Gostream, tmp_path: Path) -> None:
    ran = await gostream("update", VIDEO_ID, "--policy", "secret")

    assert ran.code == 2
    assert "must be one of: public, signed, off" in ran.stderr
