"""Validates requests of WebhookService. Each function raises one InvalidRequestError with all violations."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from gostream.v1 import webhook_pb2, webhook_service_pb2
from gostream_api.rpc import validation
from gostream_api.rpc.events.validation import event_types
from gostream_api.rpc.fields import limits, times
from gostream_api.rpc.fields.check import Check
from gostream_shared.domain.companions.webhooks import DeliveryState, WebhookChanges
from gostream_shared.egress.guard import EgressGuard, UrlRefusedError

MAX_OVERLAP = timedelta(hours=24)
_CANONICAL = "must be a UUID in its canonical lower-case form"
#: The fields that UpdateWebhook changes, with their names in the domain.
_UPDATABLE = {"url": "url", "types": "types", "disabled": "is_disabled"}


@dataclass(frozen=True, slots=True)
class Redelivery:
    """What to deliver again: one delivery, or the events since a time."""

    webhook_id: UUID
    delivery_id: UUID | None
    since: datetime | None
    types: frozenset[str]


def create_webhook(
    request: webhook_service_pb2.CreateWebhookRequest, guard: EgressGuard
) -> tuple[str, frozenset[str]]:
    """Returns the URL and the types."""
    check = Check()
    url = _url(check, request.url, "url", guard)
    types = event_types(check, request.types)
    check.text(request.user_id, "user_id", at_most=limits.MAX_USER_ID)
    check.end()
    return url, types


def webhook_id(
    request: webhook_service_pb2.GetWebhookRequest
    | webhook_service_pb2.DeleteWebhookRequest
    | webhook_service_pb2.TestWebhookRequest,
) -> UUID:
    check = Check()
    found = _id(check, request.id, "id")
    check.end()
    return found


def list_webhooks(request: webhook_service_pb2.ListWebhooksRequest) -> int:
    """Returns the page size."""
    check = Check()
    check.text(request.user_id, "user_id", at_most=limits.MAX_USER_ID)
    size = _page_size(check, request.page_size)
    check.end()
    return size


def update_webhook(
    request: webhook_service_pb2.UpdateWebhookRequest, guard: EgressGuard
) -> tuple[UUID, WebhookChanges]:
    """Returns the id and the new values. Without a mask, the fields that are set are changed."""
    check, webhook = Check(), request.webhook
    found = _id(check, webhook.id, "webhook.id")
    paths = set(request.update_mask.paths)
    if not paths:
        paths = {field.name for field, _ in webhook.ListFields()} & set(_UPDATABLE)
    known = ", ".join(_UPDATABLE)
    check.that(bool(paths), "update_mask", f"must name a field: {known}")
    check.that(paths <= set(_UPDATABLE), "update_mask", f"may name only: {known}")
    url = _url(check, webhook.url, "webhook.url", guard) if "url" in paths else ""
    types = event_types(check, webhook.types, "webhook.types") if "types" in paths else frozenset[str]()
    check.end()
    fields = frozenset(_UPDATABLE[path] for path in paths)
    return found, WebhookChanges(fields=fields, url=url, types=types, is_disabled=webhook.disabled)


def rotate(request: webhook_service_pb2.RotateWebhookSecretRequest) -> tuple[UUID, timedelta]:
    """Returns the id, and how long the earlier secrets sign too."""
    check = Check()
    found = _id(check, request.id, "id")
    seconds = request.overlap.seconds + request.overlap.nanos / 1e9
    check.that(
        0 <= seconds <= MAX_OVERLAP.total_seconds(),
        "overlap",
        "must be 0 to 24 hours",
    )
    check.end()
    return found, timedelta(seconds=seconds)


def list_deliveries(
    request: webhook_service_pb2.ListDeliveriesRequest,
) -> tuple[UUID, DeliveryState | None, int]:
    """Returns the id of the webhook, the state and the page size."""
    check = Check()
    found = _id(check, request.webhook_id, "webhook_id")
    known = request.state in webhook_pb2.Delivery.State.values()
    check.that(known, "state", "must be one of the known states")
    size = _page_size(check, request.page_size)
    check.end()
    if request.state == webhook_pb2.Delivery.STATE_UNSPECIFIED:
        return found, None, size
    return found, DeliveryState(webhook_pb2.Delivery.State.Name(request.state).removeprefix("STATE_")), size


def redeliver(request: webhook_service_pb2.RedeliverRequest) -> Redelivery:
    check = Check()
    found = _id(check, request.webhook_id, "webhook_id")
    has_since = request.HasField("since")
    check.that(
        bool(request.delivery_id) != has_since, "since", "must be set, or else delivery_id, and not both"
    )
    check.that(has_since or not request.types, "types", "must be absent without since")
    delivery_id = _id(check, request.delivery_id, "delivery_id") if request.delivery_id else None
    since = times.bound(check, request.since, "since") if has_since else None
    types = event_types(check, request.types)
    check.end()
    return Redelivery(found, delivery_id, since, types)


def _url(check: Check, url: str, name: str, guard: EgressGuard) -> str:
    """Returns the URL; adds why the guard refuses it to `check`."""
    try:
        return str(guard.check_url(url))
    except UrlRefusedError as refusal:
        check.that(False, name, str(refusal))
        return ""


def _id(check: Check, given: str, name: str) -> UUID:
    found = validation.canonical_id(given)
    check.that(found is not None, name, _CANONICAL)
    return found or UUID(int=0)


def _page_size(check: Check, given: int) -> int:
    check.that(given >= 0, "page_size", "must not be negative")
    return min(given or limits.DEFAULT_PAGE_SIZE, limits.MAX_PAGE_SIZE)
