"""The operations of the JSON edge, from the google.api.http annotations of the RPCs."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2, http_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, MethodDescriptorProto

from .contract import PACKAGE, Contract
from .schemas import WELL_KNOWN, Schema, Schemas, is_required

#: The scope of a method that the API's policy does not list: no caller has it.
CLOSED = "closed"
#: Anybody may call the method.
OPEN = "open"
#: Statuses of requests with a body only.
BODY_STATUSES = ("413", "415")

_VARIABLE = re.compile(r"\{([^=}]+)(?:=[^}]*)?\}")
_Field = tuple[str, str, FieldDescriptorProto]  # path from the request, message that has it, descriptor


@dataclass(frozen=True, slots=True)
class Operations:
    """`scopes` has the scope of each full method name; every operation refers to the errors of `statuses`."""

    contract: Contract
    schemas: Schemas
    scopes: Mapping[str, str]
    statuses: tuple[str, ...]

    def paths(self) -> Schema:
        """Returns the OpenAPI paths. Paths that differ only in the names of variables are one path."""
        paths: Schema = {}
        shapes: dict[str, list[str]] = {}
        for service, declared in self.contract.services.items():
            for method in declared.method:
                for number, rule in enumerate(_bindings(method)):
                    verb, path = _verb_and_path(rule)
                    bound, shape = _VARIABLE.findall(path), _VARIABLE.sub("{}", path)
                    names = shapes.setdefault(shape, short(bound))
                    operation = self._operation(
                        service, method, rule, dict(zip(bound, names, strict=True)), number
                    )
                    paths.setdefault(shape.format(*(f"{{{name}}}" for name in names)), {})[verb] = operation
        return paths

    def _operation(
        self, service: str, method: MethodDescriptorProto, rule: Any, bound: dict[str, str], number: int
    ) -> Schema:
        comment = self.contract.comment(f"{service}.{method.name}")
        scope = self.scopes.get(f"/{service.removeprefix('.')}/{method.name}", CLOSED)
        needs = "" if scope == OPEN else f"Requires the scope `{scope}` if the server authenticates callers."
        parameters = [
            {**self._parameter("path", *self._find(method.input_type, path)), "name": name}
            for path, name in bound.items()
        ]
        if rule.body != "*":
            parameters += [
                self._parameter("query", *each)
                for each in self._leaves(method.input_type)
                if each[0] not in bound and each[0].split(".")[0] != rule.body
            ]
        body = self._body(method.input_type, rule.body, bound, number)
        return {
            "operationId": f"{service.removeprefix(PACKAGE)}_{method.name}{number + 1 if number else ''}",
            "tags": [service.removeprefix(PACKAGE)],
            "summary": re.split(r"(?<=\.)\s", comment, maxsplit=1)[0],
            "description": "\n\n".join(filter(None, [comment, needs])),
            **({"parameters": parameters} if parameters else {}),
            **({"requestBody": body} if body else {}),
            "responses": {"200": self._reply(method), **self._errors(has_body=bool(body))},
            "security": [] if scope == OPEN else [{"bearer": [scope]}],
        }

    def _parameter(self, place: str, name: str, message: str, declared: FieldDescriptorProto) -> Schema:
        schema = self.schemas.field(message, declared)
        described = schema.pop("description", "")
        return {
            "name": name,
            "in": place,
            "required": place == "path" or is_required(declared),
            **({"description": described} if described else {}),
            "schema": schema,
        }

    def _find(self, message: str, path: str) -> _Field:
        first, _, rest = path.partition(".")
        [declared] = [each for each in self.contract.messages[message].field if each.name == first]
        if not rest:
            return path, message, declared
        return path, *self._find(declared.type_name, rest)[1:]

    def _leaves(self, message: str, prefix: str = "", above: tuple[str, ...] = ()) -> Iterator[_Field]:
        """Returns the fields that a query can set: no map, no list of messages, no message within itself."""
        above = (*above, message)
        for declared in self.contract.messages[message].field:
            path = f"{prefix}{declared.name}"
            if declared.type != FieldDescriptorProto.TYPE_MESSAGE or declared.type_name in WELL_KNOWN:
                yield path, message, declared
            elif declared.label != FieldDescriptorProto.LABEL_REPEATED and declared.type_name not in above:
                yield from self._leaves(declared.type_name, f"{path}.", above)

    def _body(self, request: str, body: str, bound: Collection[str], number: int) -> Schema | None:
        if not body:
            return None
        name, message, below, required = request.removeprefix(PACKAGE), request, "", False
        if body != "*":
            _, _, declared = self._find(request, body)
            name, message, below = f"{name}.{body}", declared.type_name, f"{body}."
            required = is_required(declared)
        without = {each.removeprefix(below) for each in bound if each.startswith(below)}
        schema = self.schemas.body(f"{name}{number + 1 if number else ''}", message, without=without)
        fields = [each for each in self.contract.messages[message].field if each.name not in without]
        return {
            "required": required or any(map(is_required, fields)),
            "content": {"application/json": {"schema": schema}},
        }

    def _reply(self, method: MethodDescriptorProto) -> Schema:
        content = {"application/json": {"schema": self.schemas.reply(method.output_type)}}
        if not method.server_streaming:
            return {"description": "The reply.", "content": content}
        # OpenAPI 3.1 cannot describe a sequence: as in grpc-gateway, the schema is that of each element.
        described = "A stream: one JSON object of this schema per line, each sent as soon as it exists."
        return {"description": described, "content": content, "x-stream": "application/x-ndjson"}

    def _errors(self, *, has_body: bool) -> Schema:
        kept = [each for each in self.statuses if has_body or each not in BODY_STATUSES]
        return {each: {"$ref": f"#/components/responses/{each}"} for each in kept}


def short(bound: list[str]) -> list[str]:
    """Returns names for the variables of a path: the last part of each, or all parts if two end alike."""
    last = [each.rpartition(".")[2] for each in bound]
    return [
        name if last.count(name) == 1 else each.replace(".", "_")
        for each, name in zip(bound, last, strict=True)
    ]


def _bindings(method: MethodDescriptorProto) -> Iterator[Any]:
    rule: http_pb2.HttpRule = method.options.Extensions[annotations_pb2.http]
    yield from (each for each in (rule, *rule.additional_bindings) if each.WhichOneof("pattern"))


def _verb_and_path(rule: Any) -> tuple[str, str]:
    verb = rule.WhichOneof("pattern")
    return (rule.custom.kind.lower(), rule.custom.path) if verb == "custom" else (verb, getattr(rule, verb))
