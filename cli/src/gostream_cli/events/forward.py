"""Posts events to a URL of the user, as a webhook of the server would."""

import base64
import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
from google.protobuf.json_format import MessageToDict

from gostream.v1.event_pb2 import Event
from gostream_client import InvalidInputError

_SECRET = re.compile(r"whsec_([A-Za-z0-9+/]{4}){6,}[A-Za-z0-9+/]{0,3}={0,2}")
_TIMEOUT = aiohttp.ClientTimeout(total=15)


class Forward:
    """Posts signed events; an event that fails is not posted again."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: str) -> None:
        from standardwebhooks.webhooks import Webhook

        self.secret = secret or "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._session = session
        self._url = url
        if not _SECRET.fullmatch(self.secret):  # the library skips letters that are not base64
            raise InvalidInputError("--secret must be whsec_ and base64")
        self._signer = Webhook(self.secret)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, secret: str) -> AsyncIterator["Forward"]:
        if url and not url.startswith(("http://", "https://")):
            raise InvalidInputError("--forward-to must begin with http:// or https://")
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            yield cls(session, url, secret)

    async def post(self, event: Event) -> str:
        """Returns how the receiver has answered."""
        body, now = body_of(event), datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(msg_id=event.id, timestamp=now, data=body),
        }
        try:
            async with self._session.post(
                self._url, data=body.encode(), headers=headers, allow_redirects=False
            ) as answer:
                return f"{event.type} {event.id}: {answer.status}"
        except (aiohttp.ClientError, OSError) as error:
            return f"{event.type} {event.id}: {error or type(error).__name__}"


def body_of(event: Event) -> str:
    """Returns the body that a webhook gets for the event, with `external_id` and `error` as they are now."""
    fields = MessageToDict(event, preserving_proto_field_name=True)
    data: dict[str, Any] = {"video_id": event.video_id, "version": event.version, "user_id": event.user_id}
    for name in ("status", "previous_status"):
        if name in fields:
            data[name] = fields[name].removeprefix("STATUS_")
    if event.video.external_id:
        data["external_id"] = event.video.external_id
    if event.type == "video.failed" and event.video.HasField("error"):
        data["error"] = {"code": event.video.error.code, "message": event.video.error.message}
    return json.dumps({"type": event.type, "timestamp": event.create_time.ToJsonString(), "data": data})
