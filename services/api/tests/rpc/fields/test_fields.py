"""Limits of labels, external ids, times and filters, with hostile values."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from gostream.v1 import video_pb2
from gostream.v1.video_pb2 import Video
from gostream.v1.video_service_pb2 import CreateVideoRequest, ListVideosRequest, UpdateVideoRequest
from gostream_api.rpc import validation
from gostream_api.videos.ids import new_id
from gostream_shared.domain.errors import InvalidRequestError
from gostream_shared.domain.repositories import VideoChanges
from gostream_shared.domain.videos.listing import VideoFilter

SIZES = validation.SizeRule(most=10, required=True)
ID = str(new_id())


def refused(call: Any, *arguments: Any, **keywords: Any) -> set[str]:
    """Names of the refused fields."""
    try:
        call(*arguments, **keywords)
    except InvalidRequestError as error:
        return {violation.field for violation in error.violations}
    return set()


def creating(**fields: Any) -> set[str]:
    request = CreateVideoRequest(title="Holiday", size_bytes=1, **fields)
    return refused(validation.create_video, request, SIZES, signs=True)


def listing(**fields: Any) -> VideoFilter:
    return validation.list_videos(ListVideosRequest(**fields))[0]


def updating(mask: list[str], **fields: Any) -> VideoChanges:
    request = UpdateVideoRequest(video=Video(id=ID, **fields), update_mask=FieldMask(paths=mask))
    return validation.update_video(request, signs=True)[1]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"course": "42"},
        {"a" * 63: "é" * 128, "a.b-c_9": ""},
        {f"k{number}": "v" for number in range(64)},
        {"quote": "\"'\\{}%_", "emoji": "👩\u200d👩\u200d👧", "equals": "a=b=c"},
    ],
)
def test_ordinary_labels_are_accepted(labels: dict[str, str]) -> None:
    assert creating(labels=labels) == set()
    assert updating(["labels"], labels=labels).labels == labels


@pytest.mark.parametrize(
    "labels",
    [
        {"": "v"},
        {"a" * 64: "v"},
        {"Upper": "v"},
        {"a=b": "v"},
        {"a b": "v"},
        {"é": "v"},
        {"a\n": "v"},
        {"k": "é" * 129},
        {"k": "x" * 1_000_000},
        {"k": "a\0b"},
        {"k": "a\u2028b"},
        {f"k{number}": "v" for number in range(65)},
    ],
)
def test_other_labels_are_refused(labels: dict[str, str]) -> None:
    assert creating(labels=labels) == {"labels"}
    assert refused(updating, ["labels"], labels=labels) == {"video.labels"}


@pytest.mark.parametrize("external_id", ["x" * 129, "a\0", "a\nb", "a\u202eb"])
def test_other_external_ids_are_refused(external_id: str) -> None:
    assert creating(external_id=external_id) == {"external_id"}
    assert refused(updating, ["external_id"], external_id=external_id) == {"video.external_id"}
    assert refused(listing, external_id=external_id) == {"external_id"}


def test_update_without_mask_changes_set_fields() -> None:
    changes = updating([], title="New", labels={"a": "1"}, user_id="bob", status=Video.STATUS_READY)

    assert changes.fields == {"title", "labels"}
    assert (changes.title, changes.labels) == ("New", {"a": "1"})


def test_named_fields_without_value_are_cleared() -> None:
    changes = updating(["labels", "external_id", "expire_time"])

    assert changes.fields == {"labels", "external_id", "expires_at"}
    assert (changes.labels, changes.external_id, changes.expires_at) == ({}, "", None)


@pytest.mark.parametrize(
    ("mask", "field"),
    [
        (["title"], "video.title"),
        (["playback_policy"], "video.playback_policy"),
        (["user_id"], "update_mask"),
        (["title", "version"], "update_mask"),
        (["*"], "update_mask"),
        (["labels.a"], "update_mask"),
        (["id"], "update_mask"),
        ([""], "update_mask"),
        ([], "update_mask"),
    ],
)
def test_other_masks_are_refused(mask: list[str], field: str) -> None:
    assert field in refused(updating, mask)


def test_fields_outside_the_mask_are_ignored() -> None:
    changes = updating(["title"], title="New", labels={"NO": ""}, external_id="x" * 999)

    assert changes.fields == {"title"}
    assert changes.labels == {}


def moment(**delta: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) + timedelta(**delta))
    return stamp


def test_expire_time_is_in_the_future() -> None:
    assert updating(["expire_time"], expire_time=moment(minutes=1)).expires_at is not None
    for wrong in (
        moment(seconds=-1),
        moment(days=36_501),
        Timestamp(seconds=-(2**62)),
        Timestamp(seconds=2**62),
        Timestamp(nanos=-1),
        Timestamp(nanos=2**31 - 1),
    ):
        assert refused(updating, ["expire_time"], expire_time=wrong) == {"video.expire_time"}


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_time_bounds_or_is_refused(seconds: int, nanos: int) -> None:
    wrong = refused(listing, created_after=Timestamp(seconds=seconds, nanos=nanos))

    assert wrong == (
        set() if -62135596800 <= seconds <= 253402300799 and 0 <= nanos < 10**9 else {"created_after"}
    )


def test_bounds_are_exact_to_the_nanosecond() -> None:
    """Stored times have microseconds: those from 1.000001500 s on begin at 1.000002 s."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    which = listing(created_after=Timestamp(seconds=1, nanos=1500), created_before=Timestamp(nanos=2000))

    assert which.created_from == epoch + timedelta(seconds=1, microseconds=2)
    assert which.created_until == epoch + timedelta(microseconds=2)
    last = Timestamp(seconds=253402300799, nanos=999_999_999)
    assert listing(created_before=last).created_until == datetime.max.replace(tzinfo=UTC)


def test_listed_labels_and_words_are_normalized() -> None:
    which = listing(labels=["b=2", "a", "b=2"], title="  the  holiday the ")

    assert (which.labels, which.words) == (("a", "b=2"), ("holiday", "the"))


@pytest.mark.parametrize("title", ["abc", "a b cde", "é", "假", "C++ 2ab", "x" * 200])
def test_searchable_titles_are_accepted(title: str) -> None:
    assert listing(title=title).words == tuple(sorted(title.split()))


@pytest.mark.parametrize(
    "labels", [[""], ["=v"], ["A"], ["a=" + "x" * 257], ["a=\0"], ["é"], [f"k{n}" for n in range(17)]]
)
def test_other_listed_labels_are_refused(labels: list[str]) -> None:
    assert refused(listing, labels=labels) == {"labels"}


@pytest.mark.parametrize(
    "title", [" ", "a", "ab cd", "%%%", "___", "a-b-c", "x" * 201, "abc\0", "w1x a b c d e f g h", "é\0"]
)
def test_unsearchable_titles_are_refused(title: str) -> None:
    assert refused(listing, title=title) == {"title"}


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=3), st.text(max_size=200))
def test_any_filter_is_accepted_or_refused(title: str, labels: list[str], external_id: str) -> None:
    assert refused(listing, title=title, labels=labels, external_id=external_id) <= {
        "title",
        "labels",
        "external_id",
    }


def test_policy_is_checked_as_before() -> None:
    request = UpdateVideoRequest(video=Video(id=ID, playback_policy=video_pb2.PLAYBACK_POLICY_SIGNED))

    assert refused(validation.update_video, request, signs=False) == {"video.playback_policy"}
