"""The doors of browsers: JSON and gRPC-Web through Envoy. Calls end as those of grpc.aio do."""

import base64
import json
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gostream.v1 import (
    event_service_pb2,
    track_service_pb2,
    upload_service_pb2,
    video_service_pb2,
    webhook_service_pb2,
)
from gostream_api.rpc.json.bodies import HTTP_STATUSES
from tests.trust.outcomes import Metadata, Outcome, Refused

_METHODS = {
    method.name: method
    for service in (
        video_service_pb2.DESCRIPTOR.services_by_name["VideoService"],
        upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],
        event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
        webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
        track_service_pb2.DESCRIPTOR.services_by_name["TrackService"],
    )
    for method in service.methods
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TRAILERS = 0x80
Call = Callable[[aiohttp.ClientSession, str, str, Message, Metadata], Awaitable[None]]


@dataclass(frozen=True)
class EdgeDoor:
    """One protocol of the edge at a URL."""

    session: aiohttp.ClientSession
    url: str
    protocol: Call
    methods: frozenset[str] = frozenset()

    def answers(self, call: str) -> bool:
        """Whether it answers a call of the matrix."""
        return not self.methods or call.partition(" ")[0] in self.methods

    def call(self, method: str, request: Message, metadata: Metadata) -> Awaitable[Any]:
        """Begins a call; a stream ends after its first message."""
        return self.protocol(self.session, self.url, method, request, metadata)


async def as_json(
    session: aiohttp.ClientSession, url: str, method: str, request: Message, metadata: Metadata
) -> None:
    """Calls the path of the method's google.api.http rule. Raises Refused."""
    rule = _METHODS[method].GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    fields = MessageToDict(request, preserving_proto_field_name=True)
    path = getattr(rule, verb)
    holders = {"{id}": fields, "{video.id}": fields.get("video"), "{track.id}": fields.get("track")}
    holders["{webhook.id}"] = fields.get("webhook")
    for name, holder in holders.items():
        if name in path:
            path = path.replace(name, (holder or {}).pop("id"))
    for name in ("video_id", "webhook_id"):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", fields.pop(name))
    body = fields if rule.body == "*" else fields.pop(rule.body) if rule.body else None
    given = {} if rule.body == "*" else fields
    query = {name: str(value).lower() if value is True else value for name, value in given.items()}
    headers = [*metadata, ("accept-encoding", "identity")]
    async with session.request(verb, url + path, params=query, json=body, headers=headers) as reply:
        if reply.status == 200:
            await reply.content.readline()  # a stream has a message a line
            return
        text = await reply.read()
    status = json.loads(text)
    code = _CODES[status["code"]]
    assert reply.status == HTTP_STATUSES[code], (reply.status, text)
    reasons = [each["reason"] for each in status.get("details", []) if "reason" in each]
    shown = (("body", text), ("www-authenticate", reply.headers.get("www-authenticate", "")))
    assert (code is grpc.StatusCode.UNAUTHENTICATED) == bool(shown[1][1]), reply.headers
    raise Refused(Outcome(code.name, next(iter(reasons), ""), shown))  # Envoy's own errors have no reason


async def as_grpc_web(
    session: aiohttp.ClientSession, url: str, method: str, request: Message, metadata: Metadata
) -> None:
    """Calls a unary method. Raises Refused."""
    message = request.SerializeToString()
    headers = [*metadata, ("content-type", "application/grpc-web+proto")]
    data = struct.pack(">BI", 0, len(message)) + message
    target = f"{url}/{_METHODS[method].containing_service.full_name}/{method}"
    async with session.post(target, data=data, headers=headers) as reply:
        body = await reply.read()
    trailers = {name.lower(): value for name, value in reply.headers.items()}
    while body and reply.status == 200:
        kind, size = struct.unpack(">BI", body[:5])
        if kind == _TRAILERS:
            lines = body[5 : 5 + size].decode().splitlines()
            trailers |= {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = body[5 + size :]
    code = _CODES[int(trailers["grpc-status"])]
    if code is grpc.StatusCode.OK:
        return
    packed = trailers.get("grpc-status-details-bin", "")
    details = base64.b64decode(packed + "=" * (-len(packed) % 4))
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details).details:
        detail.Unpack(info)
    names = ("grpc-message", "www-authenticate")
    shown = tuple((name, trailers.get(name, "")) for name in names)
    raise Refused(Outcome(code.name, info.reason, (*shown, ("details", details))))
