"""The limits that the OpenAPI document states are those that the validation enforces."""

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from gostream.v1 import video_service_pb2 as messages
from gostream_api.rpc import validation
from gostream_api.rpc.json.facts import LIMITS
from gostream_shared.domain.errors import InvalidRequestError

ID = "0193b3c4-0000-7000-8000-000000000001"
SIZES = validation.SizeRule(most=10, required=True)

#: A valid request of each kind, and its validation.
VALID: dict[type[Message], tuple[dict[str, Any], Callable[[Any], object]]] = {
    messages.CreateVideoRequest: (
        {"title": "x", "size_bytes": 4},
        lambda request: validation.create_video(request, SIZES, signs=False),
    ),
    messages.TriggerProcessRequest: ({"id": ID}, validation.trigger_process),
    messages.GetVideoRequest: ({"id": ID}, validation.get_video),
    messages.ListVideosRequest: ({}, validation.list_videos),
    messages.DeleteVideoRequest: ({"id": ID}, validation.video_id),
    messages.WatchVideoRequest: ({"id": ID}, validation.video_id),
    messages.CancelProcessRequest: ({"id": ID}, validation.video_id),
    messages.RevokePlaybackRequest: ({"id": ID}, validation.video_id),
    messages.GetPlaybackInfoRequest: ({"id": ID}, validation.get_playback_info),
}


def _limited(keyword: str) -> list[Any]:
    """Returns the kinds of request and their fields that have a limit of this keyword, and the limit."""
    found = []
    for kind in VALID:
        for name in kind.DESCRIPTOR.fields_by_name:
            limits = {**LIMITS.get(name, {}), **LIMITS.get(f"{kind.DESCRIPTOR.name}.{name}", {})}
            if keyword in limits:
                case = f"{kind.DESCRIPTOR.name}.{name}"
                found.append(pytest.param(kind, name, limits[keyword], id=case))
    return found


def refused(kind: type[Message], **fields: object) -> set[str]:
    """Returns the fields that the validation refuses in an otherwise valid request."""
    valid, validate = VALID[kind]
    try:
        validate(kind(**{**valid, **fields}))
    except InvalidRequestError as error:
        return {violation.field for violation in error.violations}
    return set()


@pytest.mark.parametrize(("kind", "name", "most"), _limited("maxLength"))
def test_longer_text_is_refused(kind: type[Message], name: str, most: int) -> None:
    assert refused(kind, **{name: "✓" * most}) == set()
    assert refused(kind, **{name: "x" * (most + 1)}) == {name}


@pytest.mark.parametrize(("kind", "name", "least"), _limited("minLength"))
def test_shorter_text_is_refused(kind: type[Message], name: str, least: int) -> None:
    assert refused(kind, **{name: "x" * least}) == set()
    assert refused(kind, **{name: "x" * (least - 1)}) == {name}


@pytest.mark.parametrize(
    ("kind", "name", "pattern"), [case for case in _limited("pattern") if case.values[1] == "id"]
)
def test_other_ids_are_refused(kind: type[Message], name: str, pattern: str) -> None:
    assert pattern == f"^{validation.CANONICAL_ID.pattern}$"
    assert refused(kind, **{name: ID.upper()}) == {name}


@pytest.mark.parametrize(
    ("kind", "name", "pattern"), [case for case in _limited("pattern") if "u2028" in case.values[2]]
)
def test_text_outside_its_pattern_is_refused(kind: type[Message], name: str, pattern: str) -> None:
    allowed = re.compile(pattern.replace("$", r"\Z"))
    for character in map(chr, range(0x3000)):
        if not allowed.search(character):
            assert refused(kind, **{name: f"x{character}"}) == {name}
        elif unicodedata.category(character) != "Cf":
            assert refused(kind, **{name: f"x{character}"}) == set()


def test_sizes_and_versions_are_not_negative() -> None:
    assert refused(messages.CreateVideoRequest, size_bytes=-1) == {"size_bytes"}
    assert refused(messages.GetVideoRequest, min_version=-1) == {"min_version"}
    assert refused(messages.ListVideosRequest, page_size=-1) == {"page_size"}


def test_batches_and_pages_have_limits() -> None:
    most = LIMITS["BatchGetVideosRequest.ids"]["maxItems"]
    page = LIMITS["ListVideosRequest.page_size"]
    assert len(validation.batch_get_videos(messages.BatchGetVideosRequest(ids=[ID] * most))) == most
    with pytest.raises(InvalidRequestError):
        validation.batch_get_videos(messages.BatchGetVideosRequest(ids=[ID] * (most + 1)))
    assert validation.list_videos(messages.ListVideosRequest())[1] == page["default"]
    assert validation.list_videos(messages.ListVideosRequest(page_size=10**6))[1] == page["maximum"]


def test_profiles_are_those_of_the_limits() -> None:
    for profile in LIMITS["ProcessOptions.profile"]["enum"]:
        assert refused(messages.TriggerProcessRequest, options={"profile": profile}) == set()


def test_limits_name_existing_fields() -> None:
    kinds = messages.DESCRIPTOR.message_types_by_name
    for name in LIMITS:
        kind, _, field = name.rpartition(".")
        owners = [kinds[kind]] if kind else kinds.values()
        assert any(field in each.fields_by_name for each in owners), name


def test_facts_are_printed_as_json() -> None:
    command = [sys.executable, "-m", "gostream_api.rpc.json.facts"]
    facts = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    assert facts["limits"] == LIMITS
    assert facts["scopes"]["/gostream.v1.VideoService/GetVideo"] == "videos:read"
    assert facts["statuses"]["NOT_FOUND"] == 404
