"""What requests may say."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream.v1.video_service_pb2 import CreateVideoRequest, DeleteVideoRequest, GetVideoRequest
from gostream_api import validation
from gostream_api.ids import new_id
from gostream_shared.domain.errors import InvalidRequestError

LIMIT = 1000


def violations(**fields: Any) -> set[str]:
    """Names of the fields of a CreateVideoRequest that are refused."""
    request = CreateVideoRequest(**({"title": "Holiday"} | fields))
    try:
        validation.create_video(request, source_max_bytes=LIMIT)
    except InvalidRequestError as error:
        return {violation.field for violation in error.violations}
    return set()


@pytest.mark.parametrize("title", ["a", "é" * 200, "🎬" * 200, "a\u200db", " a "])
def test_titles_for_people_are_accepted(title: str) -> None:
    assert violations(title=title) == set()


@pytest.mark.parametrize(
    "title", ["", "  ", "a" * 201, "a\x00", "a\nb", "\x1b[31m", "a\x7f", "a\x85", "a\u2028b", "x" * 1_000_000]
)
def test_titles_that_are_blank_long_or_hold_control_characters_are_refused(title: str) -> None:
    assert violations(title=title) == {"title"}


@pytest.mark.parametrize(
    "content_type", ["", "video/mp4", "Video/MP4", "video/x-matroska", "application/octet-stream"]
)
def test_media_types_of_videos_are_accepted(content_type: str) -> None:
    assert violations(content_type=content_type) == set()


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "video",
        "video/",
        "video/mp4; x=1",
        "video/mp4\r\nX-Evil: 1",
        "xvideo/mp4",
        "video/" + "a" * 101,
    ],
)
def test_other_media_types_are_refused(content_type: str) -> None:
    assert violations(content_type=content_type) == {"content_type"}


@pytest.mark.parametrize(("size", "is_accepted"), [(0, True), (LIMIT, True), (LIMIT + 1, False), (-1, False)])
def test_sizes_are_accepted_up_to_the_limit(size: int, is_accepted: bool) -> None:
    assert (violations(size_bytes=size) == set()) is is_accepted


def test_all_violations_are_found_at_once() -> None:
    assert violations(title="", user_id="\x00" * 200, content_type="x", size_bytes=-1) == {
        "title",
        "user_id",
        "content_type",
        "size_bytes",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "01890000-0000-7000-8000-00000000000G",
        "01890000-0000-7000-8000-00000000000A",
        "01890000000070008000000000000001",
        "{01890000-0000-7000-8000-000000000001}",
        "urn:uuid:01890000-0000-7000-8000-000000000001",
        "01890000-0000-7000-8000-000000000001\n",
        "../../etc/passwd",
    ],
)
def test_an_id_has_one_spelling(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^id: "):
        validation.video_id(DeleteVideoRequest(id=text))


@given(st.uuids())
def test_any_uuid_is_an_id(video_id: UUID) -> None:
    assert validation.get_video(GetVideoRequest(id=str(video_id))) == (video_id, 0)


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    ids = [new_id() for _ in range(2000)]

    assert {(video_id.version, video_id.variant) for video_id in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == len(ids)
    milliseconds = [video_id.int >> 80 for video_id in ids]
    assert milliseconds == sorted(milliseconds)
