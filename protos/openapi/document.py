"""The OpenAPI document: operations, schemas, errors and the security scheme."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .contract import PACKAGE, Contract, prose
from .operations import Operations
from .schemas import Schema, Schemas

_REASONS = f"{PACKAGE}ErrorReason"
_CODE = re.compile(r"([A-Z_]+): (.*)", re.DOTALL)

#: What the edge itself answers, next to the errors of the API: deploy/envoy/envoy.yaml.
_EDGE = {
    "400": "The body, a parameter or a header is malformed.",
    "403": "The page's origin is not in EDGE_CORS_ORIGINS, or the Host is not this machine.",
    "404": "There is no such path.",
    "405": "The path has other methods; the header `allow` lists them.",
    "408": "The request was incomplete after 30 s.",
    "413": "The body exceeds 1 MiB.",
    "415": "The body is not `application/json`.",
    "426": "The request is HTTP/1.0.",
    "431": "The headers exceed 60 KiB.",
    "501": "The request needs something that the edge lacks, such as another transfer coding than chunked.",
    "503": "No replica can answer.",
    "504": "The call took too long.",
}
_ABOUT = """
The JSON edge transcodes JSON over HTTP to gRPC. Field names are those of the contract. 64-bit numbers are
strings, timestamps are RFC 3339, durations are seconds with an `s`. Bodies have at most 1 MiB.

Errors are google.rpc.Status: `code` is the gRPC code, `message` is for people, and errors of the API have one
`details` entry with a stable `reason`.
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the API knows and the contract does not: `python -m gostream_api.rpc.json.facts` prints it."""

    #: The scope of each full method name.
    scopes: Mapping[str, str]
    #: JSON Schema keywords of request fields; see Schemas.
    limits: Mapping[str, Mapping[str, Any]]
    #: HTTP status of each gRPC code.
    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason of errors. The comment of its enum value is "CODE: meaning"."""

    name: str
    code: str
    meaning: str


def reasons(contract: Contract) -> list[Reason]:
    """Returns the reasons that are sent. Raises ValueError for a comment without a code."""
    found = []
    for value in contract.enums[_REASONS].value[1:]:
        match = _CODE.fullmatch(contract.comment(f"{_REASONS}.{value.name}"))
        if match is None:
            raise ValueError(f'the comment of {value.name} does not begin with "CODE: "')
        found.append(Reason(value.name.removeprefix("ERROR_REASON_"), match[1], match[2]))
    return found


def document(image: bytes, facts: Facts) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document of a descriptor image with source information."""
    contract = Contract.read(image)
    sent = reasons(contract)
    schemas = Schemas(contract, {name: dict(limits) for name, limits in facts.limits.items()})
    responses = _responses(sent, facts.statuses)
    paths = Operations(contract, schemas, facts.scopes, tuple(responses)).paths()
    used = {operation["tags"][0] for path in paths.values() for operation in path.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "GoStream",
            "version": "v1",
            "description": prose(_ABOUT),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The JSON edge that serves this document."}],
        "tags": [
            {"name": name.removeprefix(PACKAGE), "description": contract.comment(name)}
            for name in contract.services
            if name.removeprefix(PACKAGE) in used
        ],
        "paths": paths,
        "components": {
            "schemas": {"Error": _error(sent), **dict(sorted(schemas.components.items()))},
            "responses": responses,
            "securitySchemes": {"bearer": _BEARER},
        },
    }


def _responses(sent: list[Reason], statuses: Mapping[str, int]) -> Schema:
    """Returns the errors by HTTP status, in the order of the statuses."""
    lines = {status: [text] for status, text in _EDGE.items()}
    for reason in sent:
        line = f"- `{reason.name}` ({reason.code}): {reason.meaning}"
        lines.setdefault(str(statuses[reason.code]), []).append(line)
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": "\n".join(lines[status]), "content": content} for status in sorted(lines)}


def _error(sent: list[Reason]) -> Schema:
    detail = {
        "type": "object",
        "required": ["@type"],
        "properties": {
            "@type": {"type": "string", "description": "The message type, as a URL."},
            "reason": {
                "type": "string",
                "enum": [reason.name for reason in sent],
                "description": "In google.rpc.ErrorInfo: the stable reason.",
            },
        },
    }
    return {
        "type": "object",
        "description": "google.rpc.Status.",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "The gRPC code."},
            "message": {"type": "string", "description": "A message for people; it may change."},
            "details": {"type": "array", "items": detail, "description": "Absent in errors of the edge."},
        },
    }


_BEARER: Schema = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token of one of the server's issuers. With AUTH_MODE=none no token is needed.",
}
