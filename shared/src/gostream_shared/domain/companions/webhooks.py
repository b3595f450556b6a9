"""Webhooks, and the deliveries of events to them."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

#: The type of the event that TestWebhook sends. No video has it.
TEST = "webhook.test"


class DeliveryState(enum.StrEnum):
    PENDING = "PENDING"  # it will be tried
    DELIVERED = "DELIVERED"  # the receiver has answered 2xx
    DEAD = "DEAD"  # it will not be tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A receiver of events. `user_id`: the owner of the events, empty = every owner. No types = all."""

    id: UUID
    number: int  # the order of creation
    user_id: str
    url: str
    types: frozenset[str]
    is_disabled: bool
    disabled_reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChanges:
    """New values of those fields that `fields` names."""

    fields: frozenset[str]
    url: str = ""
    types: frozenset[str] = frozenset()
    is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one webhook, and its latest try. `http_status` 0: there was no answer."""

    id: UUID
    number: int
    webhook_id: UUID
    event_id: UUID
    type: str
    video_id: UUID | None
    state: DeliveryState
    attempt: int
    created_at: datetime
    next_at: datetime
    http_status: int
    error: str
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A try of a delivery that this worker has claimed. `secrets`: those in force, the newest first."""

    delivery_id: UUID
    webhook_id: UUID
    event_id: UUID
    attempt: int
    created_at: datetime
    url: str
    body: bytes = field(repr=False)
    secrets: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a try ended. `retry_in` of a failed one: the time until the next, None = there is none."""

    http_status: int = 0
    error: str = ""
    took: timedelta = timedelta(0)
    retry_in: timedelta | None = None
    is_gone: bool = False  # the receiver wants nothing more


class Webhooks(Protocol):
    """The webhooks of owners. If `owner` is given, those of others do not exist.

    Every method raises BackendUnavailableError; those with a webhook's id raise WebhookNotFoundError.
    """

    async def create(self, user_id: str, url: str, types: frozenset[str], secret: str) -> Webhook: ...

    async def count(self, user_id: str) -> int:
        """Returns the number of webhooks of the owner. Others cannot be created until the commit."""
        ...

    async def get(self, webhook_id: UUID, *, owner: str | None) -> Webhook: ...

    async def list_page(self, *, user_id: str | None, after: int, limit: int) -> list[Webhook]:
        """Returns at most `limit` webhooks after a number, the oldest first. None = those of every owner."""
        ...

    async def update(self, webhook_id: UUID, changes: WebhookChanges, *, owner: str | None) -> Webhook:
        """Apply the changes. Enabling ends a pause."""
        ...

    async def delete(self, webhook_id: UUID, *, owner: str | None) -> None: ...

    async def rotate(self, webhook_id: UUID, secret: str, *, overlap: timedelta) -> datetime:
        """Add a secret; the earlier ones expire after `overlap`. Returns when."""
        ...

    async def list_deliveries(
        self, webhook_id: UUID, *, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """Returns at most `limit` deliveries before a number, the newest first."""
        ...

    async def add_test(self, webhook_id: UUID, event_id: UUID) -> Delivery:
        """Add a delivery of a TEST event."""
        ...

    async def redeliver(self, webhook_id: UUID, delivery_id: UUID) -> int:
        """Add a delivery with the event and body of an earlier one. Returns 0 if there is none."""
        ...

    async def redeliver_since(
        self, webhook_id: UUID, since: datetime, types: frozenset[str], *, limit: int
    ) -> int:
        """Add deliveries of the logged events since then that the webhook wants. Returns their number."""
        ...


class Deliveries(Protocol):
    """The deliveries that workers make. Every method raises BackendUnavailableError."""

    async def fan_out(self, limit: int) -> int:
        """Make deliveries of at most `limit` new events. Returns the number of events."""
        ...

    async def claim(self, *, limit: int, at_once: int, lease: timedelta, failing: int) -> Sequence[Try]:
        """Lease at most `limit` due deliveries.

        At most `at_once` of one webhook are leased by all workers together, and one of a webhook with at
        least `failing` failures in a row. A lease that ends unsettled makes the delivery due again.
        """
        ...

    async def settle(self, done: Try, answer: Answer, *, failing: int) -> bool:
        """Record the end of a try, unless its lease was lost. Returns whether the delivery is dead now.

        From `failing` failures in a row on, the webhook pauses: 1 s, doubled with each failure, up to 64 s.
        """
        ...

    async def end_overdue(self, *, older_than: timedelta, limit: int) -> int:
        """End at most `limit` deliveries that were not made in this time. Returns their number."""
        ...

    async def delete_old(self, *, older_than: timedelta, limit: int) -> int:
        """Delete at most `limit` deliveries that are older than this. Returns their number."""
        ...
