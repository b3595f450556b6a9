"""`update` on a scripted server that compares etags."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from cli.tests.conftest import Gostream, capture
from gostream_cli.organize import commands
from gostream_client import AsyncClient, EtagMismatchError
from tests.support.fake_server import (
    VIDEO_ID,
    Api,
    ApiServer,
    Context,
    Refusal,
    Video,
    refuse,
    serve_api,
    video,
)

MISMATCH = Refusal(grpc.StatusCode.ABORTED, "the video has changed", "ETAG_MISMATCH")


@dataclass
class Labelled(Api):
    """One labelled video, which another caller changes before the next `rivals` updates."""

    rivals: int = 0
    updates: int = 0

    async def UpdateVideo(self, request: Any, context: Context) -> Video:  # noqa: N802
        await self._heard(request, context)
        self.updates += 1
        [current] = self.videos
        if self.rivals:
            self.rivals -= 1
            current.labels[f"rival{self.updates}"] = "x"
            current.etag += "+"
        if request.etag != current.etag:
            await refuse(context, MISMATCH)
        current.labels.clear()
        current.labels.update(request.video.labels)
        return current


@pytest.fixture
async def labelled() -> AsyncIterator[ApiServer]:
    api = Labelled(videos=[video(etag="e", labels={"course": "42", "term": "2026"})])
    async with serve_api(api) as server:
        yield server


@pytest.fixture
async def client(labelled: ApiServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(labelled.address, timeout=60) as client:
        yield client


async def update(client: AsyncClient, *removed: str, etag: str = "", **labels: str) -> str:
    shown = capture()
    await commands.update(client, shown.out, VIDEO_ID, labels=labels, removed=removed, etag=etag)
    return shown.stdout.getvalue()


async def test_other_labels_stay(client: AsyncClient) -> None:
    shown = await update(client, "term", "absent", reviewed="a=b")

    assert "label:\tcourse=42\nlabel:\treviewed=a=b\n" in shown
    assert "term" not in shown


async def test_labels_of_another_caller_survive(client: AsyncClient, labelled: ApiServer) -> None:
    labelled.api.rivals = 2  # type: ignore[attr-defined]
    await update(client, reviewed="yes")

    [left] = labelled.api.videos
    assert set(left.labels) == {"course", "term", "rival1", "rival2", "reviewed"}


async def test_steady_rival_ends_the_command(
    client: AsyncClient, labelled: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_PAUSES", (0.001, 0.001))
    labelled.api.rivals = 100  # type: ignore[attr-defined]
    with pytest.raises(EtagMismatchError):
        await update(client, reviewed="yes")

    assert len(labelled.api.requests) == 6


async def test_given_etag_is_never_replaced(client: AsyncClient, labelled: ApiServer) -> None:
    with pytest.raises(EtagMismatchError, match="nothing was changed"):
        await update(client, etag="old", reviewed="yes")
    labelled.api.rivals = 1  # type: ignore[attr-defined]
    with pytest.raises(EtagMismatchError):
        await update(client, etag="e", reviewed="yes")

    assert "reviewed" not in labelled.api.videos[0].labels


async def test_options_become_the_changed_fields(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream(
        *("update", VIDEO_ID, "--title", "New", "--external-id", "", "--expire-time", "2027-01-31"),
        *("--policy", "off", "--etag", '"7"', "-s", server.address, "--timeout", "30", "--json"),
    )

    assert ran.code == 0, ran
    [request] = server.api.requests
    assert list(request.update_mask.paths) == ["title", "external_id", "expire_time", "playback_policy"]
    assert (request.video.title, request.video.external_id, request.etag) == ("New", "", '"7"')
    assert request.video.expire_time.ToDatetime(UTC) == datetime(2027, 1, 31, tzinfo=UTC)


async def test_never_removes_the_expiry(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream(
        "update", VIDEO_ID, "--expire-time", "never", "-s", server.address, "--timeout", "30"
    )

    assert ran.code == 0, ran
    assert list(server.api.requests[0].update_mask.paths) == ["expire_time"]
    assert not server.api.requests[0].video.HasField("expire_time")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to change"),
        (("--label", "course"), "'course' is not KEY=VALUE"),
        (("--label", "a=1", "--remove-label", "a"), "both name 'a'"),
        (("--expire-time", "tomorrow"), "'tomorrow' is not a time"),
        (("--policy", "secret"), "must be one of: public, signed, off"),
    ],
)
async def test_wrong_options_are_usage_errors(
    gostream: Gostream, options: tuple[str, ...], message: str
) -> None:
    ran = await gostream("update", VIDEO_ID, *options)

    assert (ran.code, ran.stdout) == (2, ""), ran
    assert message in ran.stderr
