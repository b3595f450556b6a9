"""The fields that callers give, in the requests of both clients."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gostream.v1 import video_pb2, video_service_pb2
from gostream_client import AsyncClient, Client, EncodeOptions, InvalidInputError
from tests.support.fake_server import VIDEO_ID, ApiServer, video

NOON = datetime(2027, 1, 31, 13, tzinfo=timezone(timedelta(hours=1)))
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["asyncio", "blocking"])
def ask(request: pytest.FixtureRequest, server: ApiServer) -> Ask:
    """Calls a method of a client by its name."""

    def blocking(name: str, *arguments: Any, **options: Any) -> Any:
        with Client(server.address, timeout=60) as client:
            answer = getattr(client, name)(*arguments, **options)
            return list(answer) if name == "list_videos" else answer

    async def ask(name: str, *arguments: Any, **options: Any) -> Any:
        if request.param == "blocking":
            return await asyncio.to_thread(blocking, name, *arguments, **options)
        async with AsyncClient(server.address, timeout=60) as client:
            answer = getattr(client, name)(*arguments, **options)
            return [each async for each in answer] if name == "list_videos" else await answer

    return ask


async def test_created_video_has_every_field(ask: Ask, server: ApiServer) -> None:
    await ask(
        "create_video",
        title="T",
        user_id="ann",
        policy="signed",
        labels={"course": "42"},
        external_id="lesson-17",
        source_url="https://example.com/a.mp4",
        profile="quality",
        options=EncodeOptions(loudness=-23),
    )
    await ask("create_video", title="T", source_key="films/a.mp4")

    fetched, read = server.api.requests
    assert (fetched.external_id, dict(fetched.labels)) == ("lesson-17", {"course": "42"})
    assert (fetched.source_url, fetched.process.profile) == ("https://example.com/a.mp4", "quality")
    assert fetched.process.loudness == video_service_pb2.LOUDNESS_TARGET_LUFS_23
    assert fetched.playback_policy == video_pb2.PLAYBACK_POLICY_SIGNED
    assert (read.source_key, read.HasField("process"), dict(read.labels)) == ("films/a.mp4", False, {})


@pytest.mark.parametrize(
    ("given", "path", "sent"),
    [
        ({"title": "New"}, "title", "New"),
        ({"title": ""}, "title", ""),
        ({"labels": {"a": "b"}}, "labels", {"a": "b"}),
        ({"labels": {}}, "labels", {}),
        ({"external_id": "x"}, "external_id", "x"),
        ({"external_id": ""}, "external_id", ""),
        ({"policy": "off"}, "playback_policy", video_pb2.PLAYBACK_POLICY_OFF),
    ],
)
async def test_update_names_only_given_fields(
    ask: Ask, server: ApiServer, given: dict[str, Any], path: str, sent: object
) -> None:
    await ask("update_video", VIDEO_ID, etag='"7"', **given)

    [request] = server.api.requests
    assert (request.video.id, request.etag) == (VIDEO_ID, '"7"')
    assert list(request.update_mask.paths) == [path]
    assert getattr(request.video, path) == sent


async def test_expiry_is_set_and_removed(ask: Ask, server: ApiServer) -> None:
    await ask("update_video", VIDEO_ID, title="New", expire_time=NOON)
    await ask("update_video", VIDEO_ID, expire_time="never")

    dated, undated = server.api.requests
    assert list(dated.update_mask.paths) == ["title", "expire_time"]
    assert dated.video.expire_time.ToDatetime(UTC) == NOON
    assert list(undated.update_mask.paths) == ["expire_time"]
    assert not undated.video.HasField("expire_time")


async def test_every_page_has_the_filters(ask: Ask, server: ApiServer) -> None:
    server.api.videos = [video(version=1), video(version=2)]
    found = await ask(
        "list_videos",
        external_id="lesson-17",
        labels=["course=42", "term"],
        title="algebra",
        created_after=NOON,
        created_before=NOON + timedelta(days=1),
        show_deleted=True,
        media_kind="audio",
        page_size=1,
    )

    assert [each.version for each in found] == [1, 2]
    first, second = server.api.requests
    assert (first.external_id, list(first.labels)) == ("lesson-17", ["course=42", "term"])
    assert (first.title, first.show_deleted) == ("algebra", True)
    assert first.media_kind == video_pb2.MEDIA_KIND_AUDIO
    assert first.created_after.ToDatetime(UTC) == NOON
    assert first.created_before.ToDatetime(UTC) == NOON + timedelta(days=1)
    assert second.page_token == "1"
    second.page_token = ""
    assert second == first


async def test_listing_without_filters_sends_none(ask: Ask, server: ApiServer) -> None:
    await ask("list_videos_page")

    assert server.api.requests[0].ListFields() == []


async def test_deletion_may_be_permanent(ask: Ask, server: ApiServer) -> None:
    await ask("delete_video", VIDEO_ID)
    await ask("delete_video", VIDEO_ID, etag='"7"', permanent=True)

    assert [(each.etag, each.permanent) for each in server.api.requests] == [("", False), ('"7"', True)]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("update_video", {}, "nothing to change"),
        ("update_video", {"etag": '"7"'}, "nothing to change"),
        ("update_video", {"policy": "private"}, "is none of: public, signed, off"),
        ("list_videos_page", {"media_kind": "text"}, "is none of: video, audio"),
        (
            "create_video",
            {"title": "T", "source_key": "k", "options": EncodeOptions(loudness=-14)},
            "is none of: lufs_16, lufs_23",
        ),
        ("update_video", {"expire_time": datetime(2027, 1, 31)}, "expire_time needs a time zone"),  # noqa: DTZ001
        ("list_videos_page", {"created_after": datetime(2027, 1, 31)}, "created_after needs a time"),  # noqa: DTZ001
        ("list_videos_page", {"created_before": datetime.min.replace(tzinfo=NOON.tzinfo)}, "years 1 and"),
        ("list_videos_page", {"labels": "course"}, "labels must be a list of texts"),
        ("batch_get_videos", {"video_ids": VIDEO_ID}, "video_ids must be a list of texts"),
    ],
)
async def test_ambiguous_arguments_send_nothing(
    ask: Ask, server: ApiServer, name: str, given: dict[str, Any], message: str
) -> None:
    of = (VIDEO_ID,) if name == "update_video" else ()
    with pytest.raises(InvalidInputError, match=message):
        await ask(name, *of, **given)

    assert server.api.requests == []
