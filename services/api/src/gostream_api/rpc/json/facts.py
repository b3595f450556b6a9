"""What the OpenAPI document says beyond the contract: scopes, limits of request fields, HTTP statuses.

`python -m gostream_api.rpc.json.facts` prints them for protos/generate.py, which imports no service.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from gostream_api.auth.policy import SCOPES
from gostream_api.rpc import validation
from gostream_api.rpc.events import validation as events
from gostream_api.rpc.fields import limits
from gostream_api.rpc.json.bodies import HTTP_STATUSES
from gostream_api.rpc.tracks import validation as tracks
from gostream_api.rpc.uploads import validation as uploads
from gostream_shared.domain import profiles
from gostream_shared.domain.companions.events import EVENT_TYPES
from gostream_shared.domain.videos.options import DOWNLOADS
from gostream_shared.egress.guard import MAX_URL

_ID: Final = {"type": "string", "pattern": f"^{validation.CANONICAL_ID.pattern}$"}
#: Text without control characters, line and paragraph separators.
_TEXT: Final = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"}

_PAGE_SIZE: Final = {"minimum": 0, "maximum": limits.MAX_PAGE_SIZE, "default": limits.DEFAULT_PAGE_SIZE}

#: JSON Schema keywords by "Message.field", or by "field" for every request: the part of rpc/validation.py
#: that a schema can express.
LIMITS: Mapping[str, Mapping[str, Any]] = {
    "id": _ID,
    "video_id": _ID,
    "AddTrackRequest.language": {"pattern": f"^{tracks.LANGUAGE.pattern}$"},
    "AddTrackRequest.name": {"maxLength": limits.MAX_TRACK_NAME, **_TEXT},
    "AddTrackRequest.source_url": {"maxLength": MAX_URL},
    "BatchGetVideosRequest.ids": {"minItems": 1, "maxItems": limits.MAX_BATCH, "items": _ID},
    "CreateVideoRequest.labels": {
        "maxProperties": limits.MAX_LABELS,
        "propertyNames": {"pattern": f"^{limits.LABEL_KEY}$"},
        # Values are limited in bytes, which a schema cannot say.
        "additionalProperties": {"type": "string", "maxLength": limits.MAX_LABEL_VALUE, **_TEXT},
    },
    "CreateVideoRequest.title": {"minLength": 1, "maxLength": limits.MAX_TITLE, **_TEXT},
    "CreateVideoRequest.source_url": {"maxLength": MAX_URL},
    "GetVideoRequest.min_version": {"pattern": "^[0-9]{1,19}$"},
    "ListVideosRequest.labels": {"maxItems": limits.MAX_LISTED_LABELS},
    "ListVideosRequest.title": {"maxLength": limits.MAX_TITLE, **_TEXT},
    "ListVideosRequest.page_size": _PAGE_SIZE,
    "ListEventsRequest.page_size": {**_PAGE_SIZE, "maximum": events.MAX_PAGE_SIZE},
    "ListWebhooksRequest.page_size": _PAGE_SIZE,
    "ListDeliveriesRequest.page_size": _PAGE_SIZE,
    "CreateWebhookRequest.url": {"minLength": 1, "maxLength": MAX_URL},
    "webhook_id": _ID,
    "delivery_id": _ID,
    "ProcessOptions.downloads": {
        "maxItems": len(DOWNLOADS),
        "uniqueItems": True,
        "items": {"type": "string", "enum": list(DOWNLOADS)},
    },
    "ProcessOptions.profile": {"enum": ["", *sorted(profiles.NAMES)]},
    "SignPartsRequest.parts": {"minItems": 1, "maxItems": uploads.MOST_PARTS},
    "SignPartsRequest.Part.number": {"minimum": 1},
    # 16 bytes in base64.
    "SignPartsRequest.Part.md5": {"minLength": 24, "maxLength": 24},
    "external_id": {"maxLength": limits.MAX_EXTERNAL_ID, **_TEXT},
    "generation": {"minimum": 1},
    "request_id": {"maxLength": limits.MAX_REQUEST_ID, **_TEXT},
    "resume_token": {"maxLength": events.MAX_TOKEN},
    "size_bytes": {"pattern": "^[0-9]{1,19}$"},
    "types": {"maxItems": events.MOST_TYPES, "items": {"type": "string", "enum": list(EVENT_TYPES)}},
    "user_id": {"maxLength": limits.MAX_USER_ID, **_TEXT},
}


def main() -> None:
    statuses = {code.name: status for code, status in HTTP_STATUSES.items()}
    print(json.dumps({"scopes": dict(SCOPES), "limits": LIMITS, "statuses": statuses}))


if __name__ == "__main__":
    main()
