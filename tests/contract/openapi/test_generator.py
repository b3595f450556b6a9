"""The generator on a contract with everything that google.api.http and proto3 allow."""

import json
from typing import Any

import pytest
from google.api import annotations_pb2, field_behavior_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from protos.openapi.document import Facts, document
from protos.openapi.operations import short
from protos.openapi.page import page

from tests.support.repository import ROOT

STRING, INT64, ENUM, MESSAGE = (
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_ENUM,
    FieldDescriptorProto.TYPE_MESSAGE,
)
REPEATED = FieldDescriptorProto.LABEL_REPEATED
HOSTILE = 'Ends `</style>` and <script>alert(1)</script> & "more".'
FACTS = Facts(
    scopes={"/gostream.v1.ThingService/Make": "things:write", "/gostream.v1.ThingService/Ping": "open"},
    limits={"id": {"maxLength": 5}, "MakeRequest.name": {"maxLength": 7}},
    statuses={"NOT_FOUND": 404, "OUT_OF_RANGE": 400},
)


def add(message: DescriptorProto, name: str, kind: int = STRING, type_name: str = "", **more: Any) -> None:
    message.field.add(name=name, number=len(message.field) + 1, type=kind, type_name=type_name, **more)


def contract() -> FileDescriptorProto:
    """A service whose RPCs have two bindings, a body of one field, nested parameters, and no annotation."""
    file = FileDescriptorProto(name="thing.proto", package="gostream.v1", syntax="proto3")
    reason = file.enum_type.add(name="ErrorReason")
    reason.value.add(name="ERROR_REASON_UNSPECIFIED", number=0)
    reason.value.add(name="ERROR_REASON_THING_LOST", number=1)
    reason.value.add(name="ERROR_REASON_TOO_FAR", number=2)

    thing = file.message_type.add(name="Thing")
    add(thing, "id")
    add(thing, "count", INT64)
    add(thing, "kind", ENUM, ".gostream.v1.ErrorReason")
    add(thing, "parent", MESSAGE, ".gostream.v1.Thing")
    add(thing, "labels", MESSAGE, ".gostream.v1.Thing.LabelsEntry", label=REPEATED)
    add(thing, "made", MESSAGE, ".google.protobuf.Timestamp")
    add(thing, "maybe", oneof_index=0, proto3_optional=True)
    thing.oneof_decl.add(name="_maybe")
    entry = thing.nested_type.add(name="LabelsEntry")
    entry.options.map_entry = True
    add(entry, "key")
    add(entry, "value", INT64)

    make = file.message_type.add(name="MakeRequest")
    add(make, "name")
    make.field[0].options.Extensions[field_behavior_pb2.field_behavior].append(field_behavior_pb2.REQUIRED)
    add(make, "thing", MESSAGE, ".gostream.v1.Thing")
    add(make, "things", MESSAGE, ".gostream.v1.Thing", label=REPEATED)

    service = file.service.add(name="ThingService")
    for name in ("Make", "Find", "Hidden", "Ping"):
        reply = ".gostream.v1.Thing" if name != "Ping" else ".google.protobuf.Empty"
        service.method.add(name=name, input_type=".gostream.v1.MakeRequest", output_type=reply)
    rules = [each.options.Extensions[annotations_pb2.http] for each in service.method]
    rules[0].post, rules[0].body = "/v1/{name=things/*}/{thing.id}:make", "thing"
    again = rules[0].additional_bindings.add(body="*")
    again.put = "/v1/make/{name}"
    again = rules[0].additional_bindings.add()
    again.put = "/v1/{thing.id}/{thing.parent.id}:make"
    rules[1].get = "/v1/things"
    rules[3].delete = "/v1/ping"
    _comment(file)
    return file


def _comment(file: FileDescriptorProto) -> None:
    comments = {
        (5, 0, 2, 1): "NOT_FOUND: the thing is lost.",
        (5, 0, 2, 2): "OUT_OF_RANGE: the thing is too far.",
        (4, 0): f"{HOSTILE}\n",
        (6, 0): "Things.",
        (6, 0, 2, 0): " Makes a thing.\n More of\n it.\n\n   grpcurl -plaintext localhost\n",
    }
    for path, text in comments.items():
        file.source_code_info.location.add(path=path, leading_comments=text)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    file = contract()
    image = FileDescriptorSet(file=[file]).SerializeToString()
    return document(image, FACTS)


def test_path_variables_lose_their_patterns(described: dict[str, Any]) -> None:
    assert set(described["paths"]) == {
        "/v1/{name}/{id}:make",
        "/v1/make/{name}",
        "/v1/things",
        "/v1/ping",
    }


def test_every_binding_is_an_operation(described: dict[str, Any]) -> None:
    first = described["paths"]["/v1/{name}/{id}:make"]["post"]
    second = described["paths"]["/v1/make/{name}"]["put"]

    assert [first["operationId"], second["operationId"]] == ["ThingService_Make", "ThingService_Make2"]
    assert [each["name"] for each in first["parameters"]] == ["name", "id"]
    assert first["parameters"][0]["schema"] == {"type": "string", "maxLength": 7}
    body = described["components"]["schemas"]["MakeRequest.thing"]
    assert "id" not in body["properties"]
    assert set(described["components"]["schemas"]["MakeRequest2"]["properties"]) == {"thing", "things"}


def test_paths_of_one_shape_are_one(described: dict[str, Any]) -> None:
    path = described["paths"]["/v1/{name}/{id}:make"]

    assert set(path) == {"post", "put"}
    assert [each["name"] for each in path["put"]["parameters"][:2]] == ["name", "id"]
    assert short(["a.id", "b.id", "c"]) == ["a_id", "b_id", "c"]


def test_comment_loses_its_command(described: dict[str, Any]) -> None:
    made = described["paths"]["/v1/make/{name}"]["put"]

    assert made["summary"] == "Makes a thing."
    assert made["description"].startswith("Makes a thing. More of it.\n\nRequires the scope `things:write`")
    assert "grpcurl" not in json.dumps(described)


def test_query_reaches_nested_fields_once(described: dict[str, Any]) -> None:
    names = [each["name"] for each in described["paths"]["/v1/things"]["get"]["parameters"]]

    assert names == ["name", "thing.id", "thing.count", "thing.kind", "thing.made", "thing.maybe"]


def test_reply_requires_fields_without_presence(described: dict[str, Any]) -> None:
    thing = described["components"]["schemas"]["Thing"]

    assert thing["required"] == ["id", "count", "kind", "labels"]
    assert thing["properties"]["labels"]["additionalProperties"]["format"] == "int64"
    assert thing["properties"]["parent"] == {"$ref": "#/components/schemas/Thing"}
    assert "maxLength" not in thing["properties"]["id"], "limits are those of requests"


def test_unlisted_method_is_closed(described: dict[str, Any]) -> None:
    assert described["paths"]["/v1/things"]["get"]["security"] == [{"bearer": ["closed"]}]
    assert described["paths"]["/v1/ping"]["delete"]["security"] == []


def test_page_escapes_comments(described: dict[str, Any]) -> None:
    html = page(described)

    assert "<script" not in html
    assert html.count("</style>") == 1
    assert "&lt;script&gt;" in html


def test_committed_page_is_the_documents() -> None:
    generated = ROOT / "protos/gen"

    assert (generated / "reference.html").read_text() == page(
        json.loads((generated / "openapi.json").read_text())
    )


def test_reason_without_a_code_is_refused() -> None:
    file = contract()
    file.source_code_info.location[0].leading_comments = "The thing is lost."

    with pytest.raises(ValueError, match="THING_LOST"):
        document(FileDescriptorSet(file=[file]).SerializeToString(), FACTS)
