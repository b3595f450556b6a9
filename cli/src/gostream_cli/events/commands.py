"""The commands of events and webhooks, given a client and an output. app.py has their options."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from gostream.v1.event_pb2 import Event
from gostream.v1.event_service_pb2 import ListEventsResponse
from gostream.v1.webhook_pb2 import Delivery, Webhook
from gostream.v1.webhook_service_pb2 import ListDeliveriesResponse, ListWebhooksResponse
from gostream_cli.events.forward import Forward
from gostream_cli.output import Output
from gostream_client import AsyncClient, InvalidInputError

#: The largest pages of ListEvents and of ListDeliveries.
_EVENTS, _PAGE_LIMIT = 200, 1000
#: Seconds between two checks of the delivery of a test, and their number: receivers have 15 s.
_LOOK, _LOOKS = 0.5, 40


async def list_events(client: AsyncClient, out: Output, *, limit: int, **filters: Any) -> None:
    """List up to `limit` events, from as many pages as needed."""
    found = ListEventsResponse()
    while len(found.events) < limit:
        size = min(limit - len(found.events), _EVENTS)
        page = await client.list_events_page(page_size=size, page_token=found.next_page_token, **filters)
        found.events.extend(page.events)
        found.next_page_token = page.next_page_token
        if not page.next_page_token:
            break
    if out.as_json:
        out.document(found)
        return
    for event in found.events:
        out.plain("\t".join(_event_columns(event)))
    if not found.events:
        out.note("no events")
    if found.next_page_token:
        out.note(f"more: --limit, or --follow --since {found.events[-1].resume_token}")


async def follow(
    client: AsyncClient, out: Output, *, forward_to: str, secret: str, resume_token: str, **filters: Any
) -> None:
    """Print events as they happen, and post them to `forward_to` if it is given."""
    token = resume_token
    try:
        async with (
            Forward.open(forward_to, secret) as forward,
            aclosing(client.watch_events(resume_token=resume_token, **filters)) as events,
        ):
            if forward_to:
                out.note(f"signing with {forward.secret}")
            async for event in events:
                if out.as_json:
                    out.document(event)
                else:
                    out.plain("\t".join(_event_columns(event)))
                if forward_to:
                    out.note(await forward.post(event))
                token = event.resume_token
    finally:
        if token:
            out.note(f"to continue: --follow --since {token}")


async def add(client: AsyncClient, out: Output, url: str, *, types: Sequence[str], user_id: str) -> None:
    made = await client.create_webhook(url, types=types, user_id=user_id)
    if out.as_json:
        out.document(made)
        return
    out.plain(f"id:\t{made.webhook.id}")
    out.plain(f"secret:\t{made.secret}")
    out.note("the secret is not shown again")


async def list_webhooks(client: AsyncClient, out: Output, *, user_id: str) -> None:
    found = ListWebhooksResponse()
    while True:
        page = await client.list_webhooks_page(user_id=user_id, page_token=found.next_page_token)
        found.webhooks.extend(page.webhooks)
        found.next_page_token = page.next_page_token
        if not page.next_page_token:
            break
    if out.as_json:
        out.document(found)
        return
    for webhook in found.webhooks:
        out.plain("\t".join(_webhook_columns(webhook)))
    if not found.webhooks:
        out.note("no webhooks")


async def remove(client: AsyncClient, out: Output, webhook_id: str) -> None:
    await client.delete_webhook(webhook_id)
    if out.as_json:
        out.plain(json.dumps({"id": webhook_id, "deleted": True}))
    else:
        out.note("deleted")


async def rotate(client: AsyncClient, out: Output, webhook_id: str, *, minutes: int) -> None:
    rotated = await client.rotate_webhook_secret(webhook_id, overlap=timedelta(minutes=minutes))
    if out.as_json:
        out.document(rotated)
        return
    out.plain(f"secret:\t{rotated.secret}")
    until = rotated.earlier_expire_time.ToDatetime(UTC)
    out.note(f"the earlier secrets sign until {until:%Y-%m-%d %H:%M} UTC; this one is not shown again")


async def test(client: AsyncClient, out: Output, webhook_id: str) -> None:
    """Deliver a test event, and wait for the first answer of the receiver."""
    delivery = await client.test_webhook(webhook_id)
    for _ in range(_LOOKS):
        page = await client.list_deliveries_page(webhook_id, page_size=50)
        delivery = next((each for each in page.deliveries if each.id == delivery.id), delivery)
        if delivery.error or delivery.state != Delivery.STATE_PENDING:
            break
        await asyncio.sleep(_LOOK)
    _print_deliveries(out, ListDeliveriesResponse(deliveries=[delivery]))


async def deliveries(client: AsyncClient, out: Output, webhook_id: str, *, state: str, limit: int) -> None:
    found = ListDeliveriesResponse()
    while len(found.deliveries) < limit:
        page = await client.list_deliveries_page(
            webhook_id,
            state=state,
            page_size=min(limit - len(found.deliveries), _PAGE_LIMIT),
            page_token=found.next_page_token,
        )
        found.deliveries.extend(page.deliveries)
        found.next_page_token = page.next_page_token
        if not page.next_page_token:
            break
    _print_deliveries(out, found)


async def redeliver(
    client: AsyncClient,
    out: Output,
    webhook_id: str,
    *,
    delivery_id: str,
    since: datetime | None,
    types: Sequence[str],
) -> None:
    if bool(delivery_id) == (since is not None):
        raise InvalidInputError("give --delivery or --since")
    count = await client.redeliver(webhook_id, delivery_id=delivery_id, since=since, types=types)
    if out.as_json:
        out.plain(json.dumps({"count": count}))
    else:
        out.note(f"{count} deliveries")


def _print_deliveries(out: Output, found: ListDeliveriesResponse) -> None:
    if out.as_json:
        out.document(found)
        return
    for delivery in found.deliveries:
        out.plain("\t".join(_delivery_columns(delivery)))
    if not found.deliveries:
        out.note("no deliveries")


def _event_columns(event: Event) -> list[str]:
    moment = event.create_time.ToDatetime(UTC)
    return [f"{moment:%Y-%m-%dT%H:%M:%SZ}", event.type, event.video_id, str(event.version)]


def _webhook_columns(webhook: Webhook) -> list[str]:
    state = webhook.disabled_reason or "disabled" if webhook.disabled else "enabled"
    return [webhook.id, state, ",".join(webhook.types) or "all", webhook.url]


def _delivery_columns(delivery: Delivery) -> list[str]:
    state = Delivery.State.Name(delivery.state).removeprefix("STATE_")
    why = delivery.error or (str(delivery.http_status) if delivery.http_status else "")
    moment = f"{delivery.create_time.ToDatetime(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return [delivery.id, state, moment, delivery.type, str(delivery.attempt), why]
