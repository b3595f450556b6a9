"""Validation of requests."""

import tracemalloc
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream.v1.video_service_pb2 import (
    BatchGetVideosRequest,
    CreateVideoRequest,
    DeleteVideoRequest,
    GetVideoRequest,
)
from gostream_api.rpc import validation
from gostream_api.videos.ids import new_id
from gostream_shared.domain.errors import InvalidRequestError

LIMIT = 1000


def violations(*, required: bool = True, **fields: Any) -> set[str]:
    """Names of the refused fields of a CreateVideoRequest."""
    rule = validation.SizeRule(most=LIMIT, required=required)
    plain: dict[str, Any] = {"title": "Holiday", "size_bytes": 1}
    request = CreateVideoRequest(**(plain | fields))
    try:
        validation.create_video(request, rule, signs=True)
    except InvalidRequestError as error:
        return {violation.field for violation in error.violations}
    return set()


@pytest.mark.parametrize(
    "title",
    [
        "a",
        "é" * 200,
        "🎬" * 200,
        " a ",
        "a\u200db",
        "👩\u200d👩\u200d👧\u200d👦",
        "❤\ufe0f",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "می\u200cخواهم",
        "क\u094d\u200dष",
        "\u0600١٢",
        "שלום עולם",
    ],
)
def test_ordinary_titles_are_accepted(title: str) -> None:
    assert violations(title=title) == set()


@pytest.mark.parametrize(
    "character",
    [
        *"\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad\u061c\u180e\ufff9",
        "\U000e0041",
        "\U000e0001",
        "🏴\U000e0041\U000e0042\U000e0043\U000e007f",
        "🏴\U000e0067\U000e0062",
    ],
)
@pytest.mark.parametrize("field", ["title", "user_id", "request_id"])
def test_invisible_and_reordering_characters_are_refused(field: str, character: str) -> None:
    fields: dict[str, Any] = {field: f"holiday{character}gpj.exe"}
    assert violations(**fields) == {field}


@pytest.mark.parametrize("title", ["\u200d", "\u3164\u3164", "\u2800", "\u00a0 \u2003", "\u0301", "\ufe0f"])
def test_titles_without_visible_characters_are_refused(title: str) -> None:
    assert violations(title=title) == {"title"}


@pytest.mark.parametrize(
    "title", ["", "  ", "a" * 201, "a\x00", "a\nb", "\x1b[31m", "a\x7f", "a\x85", "a\u2028b", "x" * 1_000_000]
)
def test_blank_long_or_control_character_titles_are_refused(title: str) -> None:
    assert violations(title=title) == {"title"}


@pytest.mark.parametrize(
    ("content_type", "spelled"),
    [
        ("", "application/octet-stream"),
        ("application/octet-stream", "application/octet-stream"),
        ("video/mp4", "video/mp4"),
        ("Video/MP4", "video/mp4"),
        ("video/x-matroska", "video/x-matroska"),
        ("video/webm;codecs=vp9", "video/webm;codecs=vp9"),
        ("video/webm; Codecs=VP9,opus", "video/webm;codecs=VP9,opus"),
        ("video/webm;codecs=vp8.0", "video/webm;codecs=vp8.0"),
        ("video/mp4 ;\tcodecs=avc1.42E01E,mp4a.40.2;", "video/mp4;codecs=avc1.42E01E,mp4a.40.2"),
        ('video/mp4; codecs="avc1.42E01E,  mp4a.40.2"', 'video/mp4;codecs="avc1.42E01E, mp4a.40.2"'),
        ('video/mp4;codecs="a;b";profiles="isom"', 'video/mp4;codecs="a;b";profiles="isom"'),
        ('video/mp4;codecs=""', 'video/mp4;codecs=""'),
    ],
)
def test_video_media_types_are_accepted(content_type: str, spelled: str) -> None:
    request = CreateVideoRequest(title="Holiday", size_bytes=1, content_type=content_type)
    draft = validation.create_video(request, validation.SizeRule(most=LIMIT, required=True), signs=True)

    assert draft.content_type == spelled


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "video",
        "video/",
        "video/mp4; x",
        "video/mp4; x = 1",
        "video/mp4; =1",
        'video/mp4; x="1',
        'video/mp4; x="\\""',
        'video/mp4; x="\r\nX-Evil: 1"',
        'video/mp4; x="é"',
        'video/mp4; x=a"b"',
        "video/mp4; codecs=a b",
        "video/mp4, video/webm",
        "text/html;video/mp4",
        "video/mp4;codecs=" + "a" * 250,
        "application/octet-stream;x=1",
        "video/mp4\r\nX-Evil: 1",
        "xvideo/mp4",
        "video/" + "a" * 101,
    ],
)
def test_other_media_types_are_refused(content_type: str) -> None:
    assert violations(content_type=content_type) == {"content_type"}


@pytest.mark.parametrize(
    ("size", "is_accepted"), [(0, False), (LIMIT, True), (LIMIT + 1, False), (-1, False)]
)
def test_sizes_are_accepted_up_to_the_limit(size: int, is_accepted: bool) -> None:
    assert (violations(size_bytes=size) == set()) is is_accepted


@pytest.mark.parametrize(("size", "is_accepted"), [(0, True), (LIMIT, True), (LIMIT + 1, False), (-1, False)])
def test_size_is_optional_if_not_required(size: int, is_accepted: bool) -> None:
    assert (violations(size_bytes=size, required=False) == set()) is is_accepted


def test_all_violations_are_reported_together() -> None:
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
def test_only_the_canonical_id_spelling_is_accepted(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^id: "):
        validation.video_id(DeleteVideoRequest(id=text))


@given(st.uuids())
def test_any_uuid_is_accepted_as_an_id(video_id: UUID) -> None:
    assert validation.get_video(GetVideoRequest(id=str(video_id))) == (video_id, 0)


def test_ids_are_uuid_version_7_in_time_order() -> None:
    ids = [new_id() for _ in range(2000)]

    assert {(video_id.version, video_id.variant) for video_id in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == len(ids)
    milliseconds = [video_id.int >> 80 for video_id in ids]
    assert milliseconds == sorted(milliseconds)


def test_wrong_ids_take_no_lasting_memory() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20):
            request = BatchGetVideosRequest(ids=[f"{number}" + "x" * 1_000_000])
            with pytest.raises(InvalidRequestError):
                validation.batch_get_videos(request)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 2_500_000


def test_remote_source_needs_no_size() -> None:
    assert violations(source_url="https://example.com/a.mp4", size_bytes=0) == set()
    assert violations(source_key="films/a.mp4", size_bytes=0) == set()
    assert (
        violations(source_url="https://example.com/a.mp4", size_bytes=0, process={"profile": "quality"})
        == set()
    )


def test_contradicting_sources_are_refused() -> None:
    url = "https://example.com/a.mp4"

    assert violations(source_url=url, source_key="films/a.mp4", size_bytes=0) == {"source_key"}
    assert violations(source_url=url, size_bytes=1) == {"size_bytes"}
    assert violations(process={}) == {"process"}
    assert violations(source_url=url, size_bytes=0, process={"profile": "?"}) == {"process.profile"}
    assert violations(source_url=url + "a" * 2048, size_bytes=0) == {"source_url"}
    assert violations(source_key="é" * 513, size_bytes=0) == {"source_key"}
