"""The committed OpenAPI document: valid, complete, and true of the API."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gostream.v1.error_reason_pb2 import ErrorReason
from gostream.v1.video_pb2 import PLAYBACK_POLICY_OFF, Video
from gostream.v1.video_service_pb2 import DESCRIPTOR
from gostream_api.auth.policy import SCOPES
from gostream_api.rpc.errors import _TABLE, failure_of
from gostream_api.rpc.json.bodies import HTTP_STATUSES, failure_body, video_body
from gostream_api.rpc.json.facts import LIMITS
from gostream_shared.domain.errors import QueueFullError, WrongStateError
from tests.support.repository import ROOT

ERROR = "#/components/schemas/Error"
OPEN = "open"


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "protos/gen/openapi.json").read_text())
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Returns path, method and operation."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def operation(name: str) -> dict[str, Any]:
    [found] = [each for _, _, each in operations() if each["operationId"] == name]
    return found


def parameters(name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in operation(name)["parameters"]}


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


def validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({**document(), "$ref": reference})


def test_document_is_valid() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_every_rpc_is_an_operation() -> None:
    methods = {f"VideoService_{each.name}" for each in DESCRIPTOR.services_by_name["VideoService"].methods}

    assert methods <= {each["operationId"] for _, _, each in operations()}


def test_edge_transcodes_every_service() -> None:
    edge = yaml.safe_load((ROOT / "deploy/envoy/envoy.yaml").read_text())
    [listener] = edge["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    [services] = [
        each["typed_config"]["services"]
        for each in manager["http_filters"]
        if each["name"].endswith("transcoder")
    ]

    tags = {tag for _, _, each in operations() for tag in each["tags"]}
    assert {f"gostream.v1.{tag}" for tag in tags} == set(services)


def test_every_part_is_described() -> None:
    nameless = [
        (each["operationId"], parameter["name"])
        for _, _, each in operations()
        for parameter in each.get("parameters", ())
        if not parameter.get("description")
    ]
    nameless += [
        (name, field)
        for name, each in document()["components"]["schemas"].items()
        for field, declared in each.get("properties", {}).items()
        if not declared.get("description")
    ]

    assert nameless == []
    assert all(each["summary"] and each["description"] for _, _, each in operations())


def test_scopes_are_those_of_the_policy() -> None:
    documented = {each["operationId"]: each["security"] for _, _, each in operations()}
    expected = {
        method.removeprefix("/gostream.v1.").replace("/", "_"): [] if scope == OPEN else [{"bearer": [scope]}]
        for method, scope in SCOPES.items()
    }

    assert documented == {name: expected[name] for name in documented}


def test_comments_of_reasons_name_their_code() -> None:
    """Compares the codes, which the generator reads from error_reason.proto, with the table of errors."""
    codes = {row.reason: row.code.name for row in _TABLE.values() if row.reason}
    codes |= {kind.reason: _TABLE[WrongStateError].code.name for kind in WrongStateError.__subclasses__()}
    codes["INTERNAL"] = "INTERNAL"
    text = "".join(each["description"] + "\n" for each in document()["components"]["responses"].values())

    documented = dict(re.findall(r"`([A-Z_]+)` \(([A-Z_]+)\)", text))

    assert documented == codes
    assert {*documented} == {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]}


def test_every_operation_refers_to_every_error() -> None:
    statuses = set(document()["components"]["responses"])

    assert {str(HTTP_STATUSES[row.code]) for row in _TABLE.values()} <= statuses
    for _, _, each in operations():
        without_body = {"413", "415"} if "requestBody" not in each else set()
        assert set(each["responses"]) == statuses - without_body | {"200"}


def test_limits_appear_in_the_document() -> None:
    create = schema("CreateVideoRequest")
    assert create["required"] == ["title"]
    assert create["properties"]["title"]["maxLength"] == LIMITS["CreateVideoRequest.title"]["maxLength"]
    assert parameters("VideoService_GetVideo")["id"]["schema"]["pattern"] == LIMITS["id"]["pattern"]
    assert parameters("VideoService_ListVideos")["page_size"]["schema"]["maximum"] == 1000
    assert parameters("VideoService_BatchGetVideos")["ids"]["schema"]["maxItems"] == 100


def test_paths_differ_in_more_than_names() -> None:
    shapes = [re.sub(r"{[^}]*}", "{}", path) for path in document()["paths"]]

    assert len(shapes) == len(set(shapes))
    assert all(
        re.fullmatch(r"\w+", name) for path in document()["paths"] for name in re.findall(r"{(.*?)}", path)
    )


def test_paths_and_bodies_share_no_field() -> None:
    assert parameters("VideoService_UpdateVideo").keys() == {"id", "update_mask", "etag"}
    assert "id" not in schema("UpdateVideoRequest.video")["properties"]
    assert "id" not in schema("TriggerProcessRequest")["properties"]
    assert parameters("VideoService_TriggerProcess").keys() == {"id"}


def test_watch_is_a_stream_of_lines() -> None:
    streams = {each["operationId"]: each["responses"]["200"].get("x-stream") for _, _, each in operations()}

    for watch in ("VideoService_WatchVideo", "EventService_WatchEvents"):
        assert streams.pop(watch) == "application/x-ndjson"
    assert set(streams.values()) == {None}


def full_video() -> Video:
    video = Video(
        id="0193",
        title="Ünï",
        status=Video.STATUS_PROCESSING,
        version=2**62,
        playback_policy=PLAYBACK_POLICY_OFF,
    )
    video.create_time.seconds, video.duration.nanos = 1_700_000_000, 500_000_000
    video.source.codecs.append("h264")
    video.renditions.add(name="720p", peak_bandwidth=2**53 + 1)
    video.processing.eta.seconds = 5
    video.error.code = "SOURCE_NOT_MEDIA"
    return video


@pytest.mark.parametrize("video", [full_video(), Video()], ids=["full", "empty"])
def test_reply_of_the_api_fits_its_schema(video: Video) -> None:
    body = json.loads(video_body(video.SerializeToString()))

    assert [*validator("#/components/schemas/Video").iter_errors(body)] == []
    assert set(body) <= set(schema("Video")["properties"])


@pytest.mark.parametrize(
    ("field", "value"), [("version", 7), ("status", 3), ("renditions", None), ("id", ...)]
)
def test_wrong_reply_does_not_fit(field: str, value: object) -> None:
    body = json.loads(video_body(full_video().SerializeToString()))
    body = {name: each for name, each in {**body, field: value}.items() if each is not ...}

    assert [*validator("#/components/schemas/Video").iter_errors(body)] != []


def test_error_of_the_api_fits_its_schema() -> None:
    body = json.loads(failure_body(failure_of(QueueFullError(), request_id="x")))

    assert [*validator(ERROR).iter_errors(body)] == []
    assert body["details"][0]["reason"] == "QUEUE_FULL"
