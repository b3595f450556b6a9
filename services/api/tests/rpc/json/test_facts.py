"""The limits that the OpenAPI document states are the ones that the validation enforces."""

import base64
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from gostream.v1 import (
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_pb2,
    webhook_service_pb2,
)
from gostream.v1 import video_service_pb2 as messages
from gostream_api.rpc import validation
from gostream_api.rpc.events import validation as events
from gostream_api.rpc.json.facts import LIMITS
from gostream_api.rpc.tracks import validation as tracks
from gostream_api.rpc.uploads import validation as uploads
from gostream_api.rpc.webhooks import validation as webhooks
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
    track_service_pb2.AddTrackRequest: (
        {
            "video_id": ID,
            "kind": video_pb2.Track.Kind.KIND_SUBTITLES,
            "language": "de",
            "size_bytes": 4,
        },
        tracks.add_track,
    ),
    track_service_pb2.PrepareTrackRequest: ({"video_id": ID, "id": ID}, tracks.one_track),
    track_service_pb2.DeleteTrackRequest: ({"video_id": ID, "id": ID}, tracks.one_track),
    track_service_pb2.UpdateTrackRequest: (
        {"video_id": ID, "track": {"id": ID, "name": "x"}},
        tracks.update_track,
    ),
    track_service_pb2.ListTracksRequest: ({"video_id": ID}, tracks.video_id),
    upload_service_pb2.CreateUploadRequest: ({"video_id": ID}, uploads.create_upload),
    upload_service_pb2.GetUploadRequest: ({"video_id": ID}, uploads.video_id),
    upload_service_pb2.AbortUploadRequest: ({"video_id": ID}, uploads.video_id),
    upload_service_pb2.CompleteUploadRequest: ({"video_id": ID, "generation": 1}, uploads.complete_upload),
    upload_service_pb2.SignPartsRequest: (
        {"video_id": ID, "generation": 1, "parts": [{"number": 1, "md5": b"x" * 16}]},
        uploads.sign_parts,
    ),
    event_service_pb2.ListEventsRequest: ({}, events.list_events),
    event_service_pb2.WatchEventsRequest: ({}, events.watch_events),
    webhook_service_pb2.GetWebhookRequest: ({"id": ID}, webhooks.webhook_id),
    webhook_service_pb2.ListWebhooksRequest: ({}, webhooks.list_webhooks),
    webhook_service_pb2.ListDeliveriesRequest: ({"webhook_id": ID}, webhooks.list_deliveries),
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
    assert name not in refused(kind, **{name: "✓" * most})
    assert name in refused(kind, **{name: "x" * (most + 1)})


@pytest.mark.parametrize(("kind", "name", "least"), _limited("minLength"))
def test_shorter_text_is_refused(kind: type[Message], name: str, least: int) -> None:
    assert refused(kind, **{name: "x" * least}) == set()
    assert refused(kind, **{name: "x" * (least - 1)}) == {name}


@pytest.mark.parametrize(
    ("kind", "name", "pattern"),
    [case for case in _limited("pattern") if case.values[1] in {"id", "video_id", "webhook_id"}],
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
            assert refused(kind, **{name: f"xyz{character}"}) == {name}
        elif unicodedata.category(character) != "Cf":
            assert refused(kind, **{name: f"xyz{character}"}) == set()


def test_sizes_and_versions_are_not_negative() -> None:
    assert refused(messages.CreateVideoRequest, size_bytes=-1) == {"size_bytes"}
    assert refused(messages.GetVideoRequest, min_version=-1) == {"min_version"}
    assert refused(messages.ListVideosRequest, page_size=-1) == {"page_size"}
    assert refused(upload_service_pb2.CompleteUploadRequest, generation=0) == {"generation"}


def test_parts_have_limits() -> None:
    sign, most = upload_service_pb2.SignPartsRequest, LIMITS["SignPartsRequest.parts"]["maxItems"]
    parts = [{"number": number, "md5": b"x" * 16} for number in range(1, most + 2)]
    assert refused(sign, parts=parts[:-1]) == set()
    assert refused(sign, parts=parts) == {"parts"}
    assert refused(sign, parts=[]) == {"parts"}
    assert refused(sign, parts=[{"number": 0, "md5": b"x" * 17}]) == {"parts[0].number", "parts[0].md5"}
    assert len(base64.b64encode(b"x" * 16)) == LIMITS["SignPartsRequest.Part.md5"]["maxLength"]


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
    fields = {
        f"{name}.{field}"
        for file in (
            messages.DESCRIPTOR,
            track_service_pb2.DESCRIPTOR,
            upload_service_pb2.DESCRIPTOR,
            event_service_pb2.DESCRIPTOR,
            webhook_service_pb2.DESCRIPTOR,
        )
        for kind in file.message_types_by_name.values()
        for each in (kind, *kind.nested_types)
        for name in [each.full_name.removeprefix("gostream.v1.")]
        for field in each.fields_by_name
    }
    assert {name for name in LIMITS if "." in name} <= fields
    assert {name for name in LIMITS if "." not in name} <= {name.rpartition(".")[2] for name in fields}


def test_facts_are_printed_as_json() -> None:
    command = [sys.executable, "-m", "gostream_api.rpc.json.facts"]
    facts = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)

    assert facts["limits"] == LIMITS
    assert facts["scopes"]["/gostream.v1.VideoService/GetVideo"] == "videos:read"
    assert facts["statuses"]["NOT_FOUND"] == 404
