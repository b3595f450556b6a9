"""Playback policies and signed URLs over the wire, with the gates in a real object store."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from gostream.v1 import video_pb2
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import (
    CancelProcessRequest,
    CreateVideoRequest,
    DeleteVideoRequest,
    GetPlaybackInfoRequest,
    GetVideoRequest,
    RevokePlaybackRequest,
    UpdateVideoRequest,
)
from gostream_devstack.servers.nginx import playback_keys
from gostream_shared.config import Config, load
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.object_keys import gate_key, gate_prefix
from gostream_shared.domain.video import Publication, Rendition, Source
from gostream_shared.storage.gates import Gates
from gostream_shared.storage.s3 import S3ObjectStore

KEYS = playback_keys("0" * 32, "1" * 32)
SIGNED, OFF, PUBLIC = (
    video_pb2.PLAYBACK_POLICY_SIGNED,
    video_pb2.PLAYBACK_POLICY_OFF,
    video_pb2.PLAYBACK_POLICY_PUBLIC,
)
CDN = "http://cdn.test:8081"
PUBLICATION = Publication(
    duration=timedelta(hours=4),
    source=Source(container="mov", codecs=("h264",), size_bytes=4, fps=25.0),
    renditions=(
        Rendition(name="720p", width=1280, height=720, codecs="avc1", average_bandwidth=1, peak_bandwidth=2),
    ),
    poster="v1/poster.jpg",
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker runs here that does what a slow machine leaves undone."""
    monkeypatch.setattr("gostream_shared.storage.gates._PROMPT_TIMEOUT", 60.0)
    monkeypatch.setattr("gostream_shared.storage.gates.SYNC_TIMEOUT", 60.0)


@pytest.fixture
async def api(start_api: Callable[..., Awaitable[Any]]) -> Any:
    return await start_api(PLAYBACK_KEYS=KEYS)


@pytest.fixture
def publish(api: Any, database: PostgresDatabase) -> Callable[..., Awaitable[str]]:
    """A function that creates a READY video, as a worker does. Returns its id."""

    async def publish(**fields: Any) -> str:
        video_id = (await api.create(**fields)).video.id
        encodes = database.encodes
        await encodes.start_encode(UUID(video_id), profile="default")
        encode = await encodes.begin_attempt(UUID(video_id), 1, worker="a")
        await encodes.mark_video_ready(encode, PUBLICATION)
        return str(video_id)

    return publish


@pytest.fixture
async def store(environment: dict[str, str]) -> Any:
    async with S3ObjectStore.open(load(Config, environment)) as store:
        yield store


@pytest.fixture
def gates(store: S3ObjectStore) -> Callable[[str], Awaitable[set[str]]]:
    """A function that returns the names of a video's gates in the store."""

    async def gates(video_id: str) -> set[str]:
        prefix = gate_prefix(UUID(video_id))
        return {found.key.removeprefix(prefix) async for found in store.list(prefix)}

    return gates


def update(video_id: str, policy: Any, **fields: Any) -> UpdateVideoRequest:
    return UpdateVideoRequest(video=Video(id=video_id, playback_policy=policy), **fields)


async def test_video_with_signed_policy_has_no_urls(api: Any, publish: Any) -> None:
    signed, public = await publish(playback_policy=SIGNED), await publish()

    video = await api.stub.GetVideo(GetVideoRequest(id=signed))
    assert (video.status, video.playback_policy, video.playback_epoch) == (Video.STATUS_READY, SIGNED, 1)
    assert (video.playback_url, video.poster_url, video.storyboard_url, video.preview_url) == ("",) * 4
    video = await api.stub.GetVideo(GetVideoRequest(id=public))
    assert (video.playback_policy, video.playback_url) == (PUBLIC, f"{CDN}/hls/{public}/master.m3u8")


async def test_playback_info_follows_the_policy(api: Any, publish: Any) -> None:
    video_id = await publish()
    public = await api.stub.GetPlaybackInfo(GetPlaybackInfoRequest(id=video_id))
    assert public.playback_url == f"{CDN}/hls/{video_id}/master.m3u8"
    assert not public.HasField("expire_time")

    await api.stub.UpdateVideo(update(video_id, SIGNED))
    signed = await api.stub.GetPlaybackInfo(GetPlaybackInfoRequest(id=video_id))
    token = signed.playback_url.removeprefix(CDN).removesuffix(f"/hls/{video_id}/master.m3u8")
    assert token.startswith(f"/s/a.{signed.expire_time.seconds}.2.")
    assert signed.poster_url == f"{CDN}{token}/hls/{video_id}/v1/poster.jpg"

    await api.stub.UpdateVideo(update(video_id, OFF))
    off = await api.stub.GetPlaybackInfo(GetPlaybackInfoRequest(id=video_id))
    assert off == type(off)()


async def test_signed_url_outlasts_the_video(api: Any, publish: Any) -> None:
    video_id = await publish(playback_policy=SIGNED)
    now = datetime.now(UTC)

    default = await api.stub.GetPlaybackInfo(GetPlaybackInfoRequest(id=video_id))
    short = await api.stub.GetPlaybackInfo(GetPlaybackInfoRequest(id=video_id, ttl=Duration(seconds=60)))

    nine, step = timedelta(hours=9), timedelta(minutes=15)  # twice its duration and an hour
    assert nine <= default.expire_time.ToDatetime(UTC) - now <= nine + step + timedelta(minutes=1)
    assert short.expire_time.ToDatetime(UTC) - now <= step + timedelta(minutes=2)
    assert {each.expire_time.seconds % 900 for each in (default, short)} == {0}


async def test_revocation_begins_a_new_epoch(api: Any, publish: Any, gates: Any) -> None:
    video_id = await publish(playback_policy=SIGNED)

    revoked = await api.stub.RevokePlayback(RevokePlaybackRequest(id=video_id))

    assert (revoked.playback_epoch, revoked.playback_policy) == (2, SIGNED)
    assert await gates(video_id) == {"2"}
    assert (await api.stub.GetVideo(GetVideoRequest(id=video_id))).playback_epoch == 2


@pytest.mark.parametrize(("policy", "expected"), [(OFF, set()), (SIGNED, {"2"})])
async def test_gates_follow_the_policy(
    api: Any, publish: Any, gates: Any, policy: Any, expected: set[str]
) -> None:
    video_id = await publish()
    await api.stub.UpdateVideo(update(video_id, policy))
    assert await gates(video_id) == expected

    await api.stub.UpdateVideo(update(video_id, PUBLIC))
    assert await gates(video_id) == {"public"}

    await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))
    assert await gates(video_id) == set()


async def test_equal_policy_changes_nothing(api: Any, publish: Any) -> None:
    video_id = await publish(playback_policy=SIGNED)
    before = await api.stub.GetVideo(GetVideoRequest(id=video_id))

    assert await api.stub.UpdateVideo(update(video_id, SIGNED, etag=before.etag)) == before


async def test_update_with_an_old_etag_is_refused(api: Any, publish: Any, refused: Any) -> None:
    video_id = await publish()

    refusal = await refused(api.stub.UpdateVideo(update(video_id, OFF, etag='"1"')))
    assert refusal.reason == "ETAG_MISMATCH"


@pytest.mark.parametrize(
    ("policy", "mask", "field"),
    [
        (0, [], "update_mask"),
        (0, ["playback_policy"], "video.playback_policy"),
        (9, ["playback_policy"], "video.playback_policy"),
        (OFF, ["title"], "video.title"),
        (OFF, ["user_id"], "update_mask"),
        (OFF, ["playback_policy", "status"], "update_mask"),
    ],
)
async def test_unsupported_updates_are_refused(
    api: Any, refused: Any, policy: int, mask: list[str], field: str
) -> None:
    video_id = (await api.create()).video.id

    refusal = await refused(api.stub.UpdateVideo(update(video_id, policy, update_mask=FieldMask(paths=mask))))
    assert (refusal.reason, refusal.fields) == ("FIELD_INVALID", {field})


@pytest.mark.parametrize("seconds", [0, 59, 7 * 86_400 + 1, -1, 1 << 40])
async def test_ttl_outside_its_bounds_is_refused(api: Any, refused: Any, seconds: int) -> None:
    request = GetPlaybackInfoRequest(id=str(UUID(int=1)), ttl=Duration(seconds=seconds))
    assert (await refused(api.stub.GetPlaybackInfo(request))).fields == {"ttl"}


async def test_signed_policy_needs_keys(start_api: Any, refused: Any) -> None:
    api = await start_api()
    video_id = (await api.create()).video.id

    creation = api.stub.CreateVideo(CreateVideoRequest(title="x", size_bytes=4, playback_policy=SIGNED))
    assert (await refused(creation)).fields == {"playback_policy"}
    assert (await refused(api.stub.UpdateVideo(update(video_id, SIGNED)))).fields == {"video.playback_policy"}


async def test_policy_is_part_of_the_request_id(api: Any, refused: Any) -> None:
    await api.create(request_id="r1", playback_policy=SIGNED)

    assert (await refused(api.create(request_id="r1"))).reason == "REQUEST_ID_REUSED"


async def test_cancelled_video_loses_its_gate(
    api: Any, database: PostgresDatabase, store: S3ObjectStore, gates: Any
) -> None:
    video_id = (await api.create()).video.id
    encodes, changes = database.encodes, Gates(database.gates, store)
    await encodes.start_encode(UUID(video_id), profile="default")
    await encodes.mark_video_playable(await encodes.begin_attempt(UUID(video_id), 1, worker="a"))
    await changes.sync(UUID(video_id))
    assert await gates(video_id) == {"public"}

    await api.stub.CancelProcess(CancelProcessRequest(id=video_id))
    assert await gates(video_id) == set()


async def test_write_does_not_wait_for_a_held_gate(
    api: Any, publish: Any, database: PostgresDatabase, gates: Any, store: S3ObjectStore
) -> None:
    video_id = await publish()
    await store.put(gate_key(UUID(video_id), "public"), b"", content_type="text/plain")
    async with database.gates.hold(UUID(video_id)), asyncio.timeout(5):
        await api.stub.DeleteVideo(DeleteVideoRequest(id=video_id))
        assert await gates(video_id) == {"public"}
    await Gates(database.gates, store).sync(UUID(video_id))
    assert await gates(video_id) == set()
