"""ListVideos over the wire, with its page tokens."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream.v1.video_pb2 import MEDIA_KIND_AUDIO, MEDIA_KIND_VIDEO, Video
from gostream.v1.video_service_pb2 import CreateVideoRequest, ListVideosRequest, ListVideosResponse
from gostream_api.videos.page_tokens import page_token, position_of
from gostream_shared.db.database import PostgresDatabase
from gostream_shared.domain.errors import PageTokenInvalidError
from gostream_shared.domain.video import MediaKind, VideoStatus
from gostream_shared.domain.videos.listing import Position, VideoFilter

FILTERS = st.builds(
    VideoFilter,
    user_id=st.none() | st.text(max_size=20),
    status=st.none() | st.sampled_from(VideoStatus),
    external_id=st.none() | st.text(max_size=9),
    labels=st.lists(st.text(max_size=9), max_size=2).map(tuple),
    words=st.lists(st.text(max_size=9), max_size=2).map(tuple),
    created_from=st.none() | st.datetimes(timezones=st.just(UTC)),
    created_until=st.none() | st.datetimes(timezones=st.just(UTC)),
    media_kind=st.none() | st.sampled_from(MediaKind),
    with_deleted=st.booleans(),
)
PUBLISH = "UPDATE videos SET publication = $2, published_number = 1, encode_number = 1 WHERE id = $1"
PUBLICATION = (
    '{"duration": "PT1S", "source": {"container": "c", "codecs": [], "size_bytes": 1, "fps": 0}, '
    '"renditions": [], "media_kind": "KIND"}'
)
POSITIONS = st.builds(
    Position,
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.uuids(),
)


@given(POSITIONS, FILTERS)
def test_page_token_returns_to_its_position(position: Position, which: VideoFilter) -> None:
    assert position_of(page_token(position, which), which) == position


@given(POSITIONS, FILTERS, FILTERS)
def test_token_of_another_filter_is_refused(
    position: Position, which: VideoFilter, other: VideoFilter
) -> None:
    if which != other:
        with pytest.raises(PageTokenInvalidError):
            position_of(page_token(position, which), other)


@given(POSITIONS, FILTERS, st.data())
def test_altered_page_token_is_refused(position: Position, which: VideoFilter, data: st.DataObject) -> None:
    token = page_token(position, which)
    index = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[index]))

    with pytest.raises(PageTokenInvalidError):
        position_of(token[:index] + other + token[index + 1 :], which)


def test_tokens_of_the_previous_release_stay_valid() -> None:
    """A rolling update must not end the listings that run."""
    position = Position(datetime(2026, 1, 1, tzinfo=UTC), UUID(int=7))
    token = "AAZHSEYgQAAAAAAAAAAAAAAAAAAAAAAH96zaBxuFJt8eagom"

    assert page_token(position, VideoFilter(user_id="ann", status=VideoStatus.READY)) == token


@given(st.text())
def test_foreign_page_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalidError):
        position_of(token, VideoFilter())


async def fill(api: Any, count: int) -> list[str]:
    """Ids of videos in the order of creation; two users alternate."""
    requests = [CreateVideoRequest(title=f"{i}", user_id="ab"[i % 2], size_bytes=4) for i in range(count)]
    return [(await api.stub.CreateVideo(request)).video.id for request in requests]


async def walk(api: Any, **fields: Any) -> list[ListVideosResponse]:
    pages, token = [], ""
    for _ in range(20):
        page = await api.stub.ListVideos(ListVideosRequest(page_token=token, **fields))
        pages.append(page)
        if not (token := page.next_page_token):
            break
    return pages


def ids(pages: list[ListVideosResponse]) -> list[str]:
    return [video.id for page in pages for video in page.videos]


async def test_pages_show_every_video_once_newest_first(api: Any, database: PostgresDatabase) -> None:
    created = await fill(api, 7)
    await database.pool.execute("UPDATE videos SET created_at = now() WHERE title IN ('2', '3', '4')")
    expected = await database.pool.fetch("SELECT id FROM videos ORDER BY created_at DESC, id DESC")

    pages = await walk(api, page_size=2)

    assert [len(page.videos) for page in pages] == [2, 2, 2, 1]
    assert ids(pages) == [str(row["id"]) for row in expected]
    assert set(ids(pages)) == set(created)


async def test_exactly_full_last_page_has_no_token(api: Any) -> None:
    await fill(api, 4)

    assert [len(page.videos) for page in await walk(api, page_size=2)] == [2, 2]


async def test_listing_returns_only_matching_videos(api: Any, database: PostgresDatabase) -> None:
    created = await fill(api, 6)
    await database.encodes.start_encode(UUID(created[0]), profile="default")
    await database.videos.delete(UUID(created[2]))

    assert ids(await walk(api, user_id="a", page_size=1)) == [created[4], created[0]]
    assert ids(await walk(api, status=Video.STATUS_PROCESSING)) == [created[0]]
    assert ids(await walk(api, user_id="b", status=Video.STATUS_PROCESSING)) == []


async def test_kind_selects_published_videos(api: Any, refused: Any, database: PostgresDatabase) -> None:
    created = await fill(api, 3)
    for video_id, kind in zip(created, ("AUDIO", "VIDEO"), strict=False):
        await database.pool.execute(PUBLISH, UUID(video_id), PUBLICATION.replace("KIND", kind))

    found = [await walk(api, media_kind=kind) for kind in (MEDIA_KIND_AUDIO, MEDIA_KIND_VIDEO, 0)]

    assert [ids(pages) for pages in found] == [created[:1], created[1:2], created[::-1]]
    assert found[0][0].videos[0].media_kind == MEDIA_KIND_AUDIO
    refusal = await refused(api.stub.ListVideos(ListVideosRequest(media_kind=7)))  # type: ignore[arg-type]
    assert refusal.fields == {"media_kind"}


async def test_new_video_does_not_disturb_later_pages(api: Any) -> None:
    created = await fill(api, 4)
    first = await api.stub.ListVideos(ListVideosRequest(page_size=2))
    await fill(api, 1)

    second = await api.stub.ListVideos(ListVideosRequest(page_size=2, page_token=first.next_page_token))

    assert ids([first, second]) == created[::-1]


async def test_page_sizes_are_coerced_and_negative_ones_refused(api: Any, refused: Any) -> None:
    created = await fill(api, 53)

    assert [len(page.videos) for page in await walk(api)] == [50, 3]
    assert len(ids(await walk(api, page_size=2_000_000_000))) == len(created)
    assert (await refused(api.stub.ListVideos(ListVideosRequest(page_size=-1)))).fields == {"page_size"}


async def test_page_token_with_another_filter_is_refused(api: Any, refused: Any) -> None:
    await fill(api, 3)
    token = (await api.stub.ListVideos(ListVideosRequest(page_size=1))).next_page_token

    for request in (
        ListVideosRequest(page_token=token, user_id="a"),
        ListVideosRequest(page_token=token, labels=["a"]),
        ListVideosRequest(page_token=token, title="abc"),
        ListVideosRequest(page_token=token, show_deleted=True),
        ListVideosRequest(page_token=token, media_kind=MEDIA_KIND_AUDIO),
        ListVideosRequest(page_token=token[:-1]),
        ListVideosRequest(page_token="' OR 1=1 --"),
        ListVideosRequest(page_token="A" * 100_000),
    ):
        refusal = await refused(api.stub.ListVideos(request))
        assert (refusal.reason, refusal.fields) == ("PAGE_TOKEN_INVALID", {"page_token"})
    await api.stub.ListVideos(
        ListVideosRequest(page_token=token, page_size=3)
    )  # another page size is allowed


async def test_unknown_status_is_refused(api: Any, refused: Any) -> None:
    unknown: Any = 99
    refusal = await refused(api.stub.ListVideos(ListVideosRequest(status=unknown)))

    assert refusal.fields == {"status"}
