"""The calls of webhooks, as the module `calls` has those of videos."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask

from gostream.v1.webhook_pb2 import Delivery, Webhook
from gostream.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    CreateWebhookResponse,
    DeleteWebhookRequest,
    GetWebhookRequest,
    ListDeliveriesRequest,
    ListDeliveriesResponse,
    ListWebhooksRequest,
    ListWebhooksResponse,
    RedeliverRequest,
    RotateWebhookSecretRequest,
    RotateWebhookSecretResponse,
    TestWebhookRequest,
    UpdateWebhookRequest,
)
from gostream_client import table
from gostream_client.calls.videos import moment, several
from gostream_client.errors import InvalidInputError
from gostream_client.table import Call


def create_webhook(
    url: str, *, types: Sequence[str] = (), user_id: str = "", timeout: float | None = None
) -> Call[CreateWebhookResponse]:
    """Creates a webhook and returns it with the secret that signs its deliveries; no other call returns it.

    `types`: such as "video.ready"; empty for all events. `user_id`: whose events; empty for the caller's own,
    or for those of every owner if the caller is an admin.
    """
    request = CreateWebhookRequest(url=url, types=several("types", types), user_id=user_id)
    return Call(table.CREATE_WEBHOOK, request, timeout)


def get_webhook(webhook_id: str, *, timeout: float | None = None) -> Call[Webhook]:
    """Returns the webhook."""
    return Call(table.GET_WEBHOOK, GetWebhookRequest(id=webhook_id), timeout)


def list_webhooks_page(
    *, user_id: str = "", page_size: int = 0, page_token: str = "", timeout: float | None = None
) -> Call[ListWebhooksResponse]:
    """Returns one page of webhooks, the oldest first, with the token of the next page."""
    request = ListWebhooksRequest(user_id=user_id, page_size=page_size, page_token=page_token)
    return Call(table.LIST_WEBHOOKS, request, timeout)


def update_webhook(
    webhook_id: str,
    *,
    url: str | None = None,
    types: Sequence[str] | None = None,
    disabled: bool | None = None,
    timeout: float | None = None,
) -> Call[Webhook]:
    """Changes the fields that are given, and no others. Returns the webhook.

    Raises InvalidInputError if there is nothing to change.
    """
    given = {"url": url, "types": types, "disabled": disabled}
    paths = [name for name, value in given.items() if value is not None]
    if not paths:
        raise InvalidInputError("nothing to change: give url, types or disabled")
    webhook = Webhook(
        id=webhook_id, url=url or "", types=several("types", types or ()), disabled=bool(disabled)
    )
    request = UpdateWebhookRequest(webhook=webhook, update_mask=FieldMask(paths=paths))
    return Call(table.UPDATE_WEBHOOK, request, timeout)


def delete_webhook(webhook_id: str, *, timeout: float | None = None) -> Call[None]:
    """Deletes the webhook with its deliveries."""
    request = DeleteWebhookRequest(id=webhook_id)
    return Call(table.DELETE_WEBHOOK, request, timeout, lambda answer, trailers: None)


def rotate_webhook_secret(
    webhook_id: str, *, overlap: timedelta = timedelta(0), timeout: float | None = None
) -> Call[RotateWebhookSecretResponse]:
    """Adds a secret and returns it. The earlier ones sign too for `overlap`, at most 24 hours."""
    request = RotateWebhookSecretRequest(id=webhook_id)
    request.overlap.FromTimedelta(overlap)
    return Call(table.ROTATE_WEBHOOK_SECRET, request, timeout)


def test_webhook(webhook_id: str, *, timeout: float | None = None) -> Call[Delivery]:  # noqa: PT028
    """Delivers an event of the type webhook.test. Returns the delivery, which is made soon."""
    return Call(table.TEST_WEBHOOK, TestWebhookRequest(id=webhook_id), timeout)


def list_deliveries_page(
    webhook_id: str,
    *,
    state: str = "",
    page_size: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> Call[ListDeliveriesResponse]:
    """Returns one page of deliveries, the newest first, with the token of the next page.

    `state`: "pending", "delivered", "dead", or empty for all.
    """
    name = f"STATE_{state.upper() or 'UNSPECIFIED'}"
    if name not in Delivery.State.keys():  # noqa: SIM118 - an enum of protobuf is no mapping
        raise InvalidInputError("state must be pending, delivered or dead")
    request = ListDeliveriesRequest(
        webhook_id=webhook_id,
        state=Delivery.State.Value(name),
        page_size=page_size,
        page_token=page_token,
    )
    return Call(table.LIST_DELIVERIES, request, timeout)


def redeliver(
    webhook_id: str,
    *,
    delivery_id: str = "",
    since: datetime | None = None,
    types: Sequence[str] = (),
    timeout: float | None = None,
) -> Call[int]:
    """Delivers again: one delivery, or the events since a time, of these types. Returns their number."""
    request = RedeliverRequest(
        webhook_id=webhook_id,
        delivery_id=delivery_id,
        since=moment("since", since),
        types=several("types", types),
    )
    return Call(table.REDELIVER, request, timeout, lambda answer, trailers: int(answer.count))
