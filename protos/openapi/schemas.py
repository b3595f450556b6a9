"""JSON schemas of messages, as the transcoder of deploy/envoy/envoy.yaml reads and writes them.

Replies have the contract's field names, enums as names, 64-bit numbers as strings, and every field without
presence. In requests all fields may be absent but the ones that the contract requires.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.api import field_behavior_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from .contract import PACKAGE, Contract

Schema = dict[str, Any]

_INT32: Schema = {"type": "integer", "format": "int32"}
_UINT32: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_INT64: Schema = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_UINT64: Schema = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
_DURATION = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"

_SCALARS: dict[int, Schema] = {
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_INT32: _INT32,
    FieldDescriptorProto.TYPE_SINT32: _INT32,
    FieldDescriptorProto.TYPE_SFIXED32: _INT32,
    FieldDescriptorProto.TYPE_UINT32: _UINT32,
    FieldDescriptorProto.TYPE_FIXED32: _UINT32,
    FieldDescriptorProto.TYPE_INT64: _INT64,
    FieldDescriptorProto.TYPE_SINT64: _INT64,
    FieldDescriptorProto.TYPE_SFIXED64: _INT64,
    FieldDescriptorProto.TYPE_UINT64: _UINT64,
    FieldDescriptorProto.TYPE_FIXED64: _UINT64,
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
#: Messages with a JSON form of their own.
WELL_KNOWN: dict[str, Schema] = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {"type": "string", "pattern": _DURATION, "examples": ["90s", "0.5s"]},
    ".google.protobuf.FieldMask": {"type": "string", "examples": ["playbackPolicy"]},
    ".google.protobuf.Empty": {"type": "object"},
    ".google.protobuf.Struct": {"type": "object"},
    ".google.protobuf.ListValue": {"type": "array"},
    ".google.protobuf.Value": {},
    ".google.protobuf.Any": {"type": "object", "required": ["@type"]},
    ".google.protobuf.StringValue": _SCALARS[FieldDescriptorProto.TYPE_STRING],
    ".google.protobuf.BytesValue": _SCALARS[FieldDescriptorProto.TYPE_BYTES],
    ".google.protobuf.BoolValue": _SCALARS[FieldDescriptorProto.TYPE_BOOL],
    ".google.protobuf.DoubleValue": _SCALARS[FieldDescriptorProto.TYPE_DOUBLE],
    ".google.protobuf.FloatValue": _SCALARS[FieldDescriptorProto.TYPE_FLOAT],
    ".google.protobuf.Int32Value": _INT32,
    ".google.protobuf.UInt32Value": _UINT32,
    ".google.protobuf.Int64Value": _INT64,
    ".google.protobuf.UInt64Value": _UINT64,
}


def is_required(declared: FieldDescriptorProto) -> bool:
    """Returns True if the contract requires the field in requests."""
    behaviors = declared.options.Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.REQUIRED in behaviors


@dataclass(slots=True)
class Schemas:
    """Collects `components`, the schemas that the operations refer to.

    `limits` has JSON Schema keywords of request fields, by "Message.field" without the package, or by "field"
    for the field of that name in every message.
    """

    contract: Contract
    limits: Mapping[str, Schema]
    components: dict[str, Schema] = field(default_factory=dict)

    def reply(self, message: str) -> Schema:
        """Returns the schema of a message that the server sends."""
        return self._message(message, given=False)

    def body(self, name: str, message: str, *, without: Collection[str]) -> Schema:
        """Returns the schema of a request's body: the message without the fields that the path has."""
        return self._component(name, message, given=True, without=without)

    def field(self, message: str, declared: FieldDescriptorProto, *, given: bool = True) -> Schema:
        """Returns the schema of a field of a message, with its comment and, if `given`, its limits."""
        entry = self.contract.messages.get(declared.type_name, DescriptorProto())
        if entry.options.map_entry:
            schema = {"type": "object", "additionalProperties": self._value(entry.field[1], given=given)}
        elif declared.label == FieldDescriptorProto.LABEL_REPEATED:
            schema = {"type": "array", "items": self._value(declared, given=given)}
        else:
            schema = self._value(declared, given=given)
        described = self.contract.comment(f"{message}.{declared.name}")
        limits = self._limits(message, declared.name) if given else {}
        return {**schema, **({"description": described} if described else {}), **limits}

    def _limits(self, message: str, name: str) -> Schema:
        return {**self.limits.get(name, {}), **self.limits.get(f"{message.removeprefix(PACKAGE)}.{name}", {})}

    def _value(self, declared: FieldDescriptorProto, *, given: bool) -> Schema:
        if declared.type == FieldDescriptorProto.TYPE_ENUM:
            return self._enum(declared.type_name)
        if declared.type == FieldDescriptorProto.TYPE_MESSAGE:
            return self._message(declared.type_name, given=given)
        return dict(_SCALARS[declared.type])

    def _message(self, message: str, *, given: bool) -> Schema:
        if message in WELL_KNOWN:
            return dict(WELL_KNOWN[message])
        name = message.removeprefix(PACKAGE).lstrip(".")
        return self._component(f"{name}Input" if given else name, message, given=given)

    def _component(self, name: str, message: str, *, given: bool, without: Collection[str] = ()) -> Schema:
        if name not in self.components:
            schema: Schema = {"type": "object", "description": self.contract.comment(message)}
            self.components[name] = schema  # before its fields: a message may contain itself
            fields = [each for each in self.contract.messages[message].field if each.name not in without]
            needed = [each.name for each in fields if (is_required if given else _is_always_sent)(each)]
            schema["properties"] = {each.name: self.field(message, each, given=given) for each in fields}
            if needed:
                schema["required"] = needed
        return {"$ref": f"#/components/schemas/{name}"}

    def _enum(self, enum: str) -> Schema:
        name = enum.removeprefix(PACKAGE).lstrip(".")
        values = [value.name for value in self.contract.enums[enum].value]
        meanings = [f"- `{value}`: {self.contract.comment(f'{enum}.{value}')}" for value in values]
        described = "\n".join([self.contract.comment(enum), "", *meanings])
        self.components[name] = {"type": "string", "enum": values, "description": described}
        return {"$ref": f"#/components/schemas/{name}"}


def _is_always_sent(declared: FieldDescriptorProto) -> bool:
    """Returns True for fields without presence: numbers, text and enums, lists, maps."""
    if declared.label == FieldDescriptorProto.LABEL_REPEATED:
        return True
    return declared.type != FieldDescriptorProto.TYPE_MESSAGE and not declared.HasField("oneof_index")
