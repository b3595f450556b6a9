"""The use cases of WebhookService, independent of gRPC and of drivers."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from gostream_api.events.tokens import number_of, number_token
from gostream_api.principal import Principal
from gostream_api.videos.trail import Call, Origin
from gostream_shared.domain.companions.errors import WebhookNotFoundError
from gostream_shared.domain.companions.webhooks import Delivery, DeliveryState, Webhook, WebhookChanges
from gostream_shared.domain.errors import QuotaExceededError
from gostream_shared.domain.repositories import Database

#: Events that one call delivers again.
MOST_REDELIVERED = 10_000
_SECRET_BYTES = 32
_QUOTA = "webhooks"


@dataclass(frozen=True, slots=True)
class Created:
    """A new webhook with its secret."""

    webhook: Webhook
    secret: str


class WebhookService:
    """Webhooks of owners. Another owner's webhook does not exist for the caller: WebhookNotFoundError.

    Every method raises BackendUnavailableError. Every write adds one entry to the trail in its transaction.
    Neither the trail nor a log has URLs or secrets.
    """

    def __init__(self, database: Database, *, quota: int) -> None:
        """`quota`: webhooks of one owner, 0 = no limit."""
        self._database = database
        self._quota = quota

    async def create_webhook(
        self, caller: Principal, origin: Origin, *, user_id: str, url: str, types: frozenset[str]
    ) -> Created:
        """Raises InvalidRequestError for the `user_id` of another owner, and QuotaExceededError."""
        owner = caller.owner_listed(user_id or None) or ""
        secret = _new_secret()
        async with self._database.transaction() as transaction:
            if self._quota and await transaction.webhooks.count(owner) >= self._quota:
                raise QuotaExceededError(owner, _QUOTA, self._quota)
            webhook = await transaction.webhooks.create(owner, url, types, secret)
            call = Call("CreateWebhook", caller, origin)
            await transaction.trail.add(call.changed_webhook(webhook.id, {"types": ",".join(sorted(types))}))
        return Created(webhook, secret)

    async def get_webhook(self, caller: Principal, webhook_id: UUID) -> Webhook:
        return await self._database.webhooks.get(webhook_id, owner=caller.sees)

    async def list_webhooks(
        self, caller: Principal, *, user_id: str, page_size: int, token: str
    ) -> tuple[list[Webhook], str]:
        """Returns a page, the oldest first, and the token of the next one.

        Raises InvalidRequestError for the `user_id` of another owner, and PageTokenInvalidError.
        """
        owner = caller.owner_listed(user_id or None)
        bound = f"webhooks of {owner!r}"
        after = number_of(token, bound) if token else 0
        found = await self._database.webhooks.list_page(user_id=owner, after=after, limit=page_size + 1)
        page = found[:page_size]
        return page, number_token(page[-1].number, bound) if len(found) > page_size else ""

    async def update_webhook(
        self, caller: Principal, origin: Origin, webhook_id: UUID, changes: WebhookChanges
    ) -> Webhook:
        call = Call("UpdateWebhook", caller, origin)
        async with self._database.transaction() as transaction:
            webhook = await transaction.webhooks.update(webhook_id, changes, owner=caller.sees)
            values: dict[str, str | int | bool] = {"fields": ",".join(sorted(changes.fields))}
            if "is_disabled" in changes.fields:
                values["is_disabled"] = changes.is_disabled
            await transaction.trail.add(call.changed_webhook(webhook_id, values))
        return webhook

    async def delete_webhook(self, caller: Principal, origin: Origin, webhook_id: UUID) -> None:
        call = Call("DeleteWebhook", caller, origin)
        async with self._database.transaction() as transaction:
            await transaction.webhooks.get(webhook_id, owner=caller.sees)
            # Before the deletion, because the entry has the owner of the row.
            await transaction.trail.add(call.changed_webhook(webhook_id, {"deleted": True}))
            await transaction.webhooks.delete(webhook_id, owner=caller.sees)

    async def rotate_secret(
        self, caller: Principal, origin: Origin, webhook_id: UUID, *, overlap: timedelta
    ) -> tuple[str, datetime]:
        """Returns the new secret, and when the earlier ones expire."""
        secret = _new_secret()
        call = Call("RotateWebhookSecret", caller, origin)
        async with self._database.transaction() as transaction:
            await transaction.webhooks.get(webhook_id, owner=caller.sees)
            ends_at = await transaction.webhooks.rotate(webhook_id, secret, overlap=overlap)
            values = {"overlap_seconds": int(overlap.total_seconds())}
            await transaction.trail.add(call.changed_webhook(webhook_id, values))
        return secret, ends_at

    async def test_webhook(self, caller: Principal, origin: Origin, webhook_id: UUID) -> Delivery:
        call = Call("TestWebhook", caller, origin)
        async with self._database.transaction() as transaction:
            await transaction.webhooks.get(webhook_id, owner=caller.sees)
            delivery = await transaction.webhooks.add_test(webhook_id, uuid4())
            await transaction.trail.add(call.changed_webhook(webhook_id, {"deliveries": 1}))
        return delivery

    async def list_deliveries(
        self,
        caller: Principal,
        webhook_id: UUID,
        *,
        state: DeliveryState | None,
        page_size: int,
        token: str,
    ) -> tuple[list[Delivery], str]:
        """Returns a page, the newest first, and the token of the next one. Raises PageTokenInvalidError."""
        webhooks = self._database.webhooks
        await webhooks.get(webhook_id, owner=caller.sees)
        bound = f"deliveries {state} of {webhook_id}"
        before = number_of(token, bound) if token else None
        found = await webhooks.list_deliveries(webhook_id, state=state, before=before, limit=page_size + 1)
        page = found[:page_size]
        return page, number_token(page[-1].number, bound) if len(found) > page_size else ""

    async def redeliver(
        self,
        caller: Principal,
        origin: Origin,
        webhook_id: UUID,
        *,
        delivery_id: UUID | None = None,
        since: datetime | None = None,
        types: frozenset[str] = frozenset(),
    ) -> int:
        """Returns the number of new deliveries. One of `delivery_id` and `since` is given.

        Raises WebhookNotFoundError also for a delivery that the webhook does not have.
        """
        call, count = Call("Redeliver", caller, origin), 0
        async with self._database.transaction() as transaction:
            await transaction.webhooks.get(webhook_id, owner=caller.sees)
            if delivery_id is not None:
                count = await transaction.webhooks.redeliver(webhook_id, delivery_id)
                if not count:
                    raise WebhookNotFoundError(webhook_id)
            elif since is not None:
                count = await transaction.webhooks.redeliver_since(
                    webhook_id, since, types, limit=MOST_REDELIVERED
                )
            await transaction.trail.add(call.changed_webhook(webhook_id, {"deliveries": count}))
        return count


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
