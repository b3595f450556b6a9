"""The rows of webhooks, as the API reads and writes them."""

import json
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.errors import WebhookNotFoundError
from gostream_shared.domain.companions.webhooks import (
    TEST,
    Delivery,
    DeliveryState,
    Webhook,
    WebhookChanges,
)

_WEBHOOK = "id, seq, user_id, url, types, is_disabled, disabled_reason, created_at"
_DELIVERY = """id, seq, webhook_id, event_id, type, video_id, status, attempt, created_at, next_at,
  http_status, error, took_ms"""


class PostgresWebhooks(Statements):
    """Implements domain.companions.webhooks.Webhooks over a pool or one connection."""

    async def create(self, user_id: str, url: str, types: frozenset[str], secret: str) -> Webhook:
        [row] = await self._rows(
            f"""WITH made AS (
              INSERT INTO webhooks (user_id, url, types) VALUES ($1, $2, $3) RETURNING {_WEBHOOK}
            ), kept AS (INSERT INTO webhook_secrets (webhook_id, secret) SELECT id, $4 FROM made)
            SELECT * FROM made""",
            user_id,
            url,
            sorted(types),
            secret,
        )
        return _webhook(row)

    async def count(self, user_id: str) -> int:
        await self._rows("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"webhooks/{user_id}")
        [row] = await self._rows("SELECT count(*) AS found FROM webhooks WHERE user_id = $1", user_id)
        return int(row["found"])

    async def get(self, webhook_id: UUID, *, owner: str | None) -> Webhook:
        row = await self._row(
            f"SELECT {_WEBHOOK} FROM webhooks WHERE id = $1 AND ($2::text IS NULL OR user_id = $2)",
            webhook_id,
            owner,
        )
        return _found(webhook_id, row)

    async def list_page(self, *, user_id: str | None, after: int, limit: int) -> list[Webhook]:
        rows = await self._rows(
            f"""SELECT {_WEBHOOK} FROM webhooks WHERE ($1::text IS NULL OR user_id = $1) AND seq > $2
            ORDER BY seq LIMIT $3""",
            user_id,
            after,
            limit,
        )
        return [_webhook(row) for row in rows]

    async def update(self, webhook_id: UUID, changes: WebhookChanges, *, owner: str | None) -> Webhook:
        row = await self._row(
            f"""UPDATE webhooks SET
              url = CASE WHEN 'url' = ANY($3) THEN $4 ELSE url END,
              types = CASE WHEN 'types' = ANY($3) THEN $5 ELSE types END,
              is_disabled = CASE WHEN 'is_disabled' = ANY($3) THEN $6 ELSE is_disabled END,
              disabled_reason = CASE WHEN 'is_disabled' = ANY($3) THEN '' ELSE disabled_reason END,
              failures = 0, paused_until = NULL
            WHERE id = $1 AND ($2::text IS NULL OR user_id = $2) RETURNING {_WEBHOOK}""",
            webhook_id,
            owner,
            sorted(changes.fields),
            changes.url,
            sorted(changes.types),
            changes.is_disabled,
        )
        return _found(webhook_id, row)

    async def delete(self, webhook_id: UUID, *, owner: str | None) -> None:
        row = await self._row(
            "DELETE FROM webhooks WHERE id = $1 AND ($2::text IS NULL OR user_id = $2) RETURNING id",
            webhook_id,
            owner,
        )
        if row is None:
            raise WebhookNotFoundError(webhook_id)

    async def rotate(self, webhook_id: UUID, secret: str, *, overlap: timedelta) -> datetime:
        [row] = await self._rows(
            """WITH gone AS (
              DELETE FROM webhook_secrets WHERE webhook_id = $1 AND expires_at <= now()
            ), ending AS (
              UPDATE webhook_secrets SET expires_at = least(expires_at, now() + $3::interval)
              WHERE webhook_id = $1 AND (expires_at IS NULL OR expires_at > now())
            ), made AS (
              INSERT INTO webhook_secrets (webhook_id, secret, created_at) VALUES ($1, $2, clock_timestamp())
            )
            SELECT now() + $3::interval AS ends_at""",
            webhook_id,
            secret,
            overlap,
        )
        ends_at: datetime = row["ends_at"]
        return ends_at

    async def list_deliveries(
        self, webhook_id: UUID, *, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        rows = await self._rows(
            f"""SELECT {_DELIVERY} FROM deliveries
            WHERE webhook_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::bigint IS NULL OR seq < $3)
            ORDER BY seq DESC LIMIT $4""",
            webhook_id,
            state,
            before,
            limit,
        )
        return [_delivery(row) for row in rows]

    async def add_test(self, webhook_id: UUID, event_id: UUID) -> Delivery:
        body = {"type": TEST, "data": {"webhook_id": str(webhook_id)}}
        [row] = await self._rows(
            f"""INSERT INTO deliveries (webhook_id, event_id, type, body)
            VALUES ($1, $2, $3, convert_to(($4::jsonb || jsonb_build_object('timestamp',
              to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text, 'UTF8'))
            RETURNING {_DELIVERY}""",
            webhook_id,
            event_id,
            TEST,
            json.dumps(body),
        )
        return _delivery(row)

    async def redeliver(self, webhook_id: UUID, delivery_id: UUID) -> int:
        rows = await self._rows(
            """INSERT INTO deliveries (webhook_id, event_id, type, video_id, body)
            SELECT webhook_id, event_id, type, video_id, body FROM deliveries
            WHERE webhook_id = $1 AND id = $2 RETURNING id""",
            webhook_id,
            delivery_id,
        )
        return len(rows)

    async def redeliver_since(
        self, webhook_id: UUID, since: datetime, types: frozenset[str], *, limit: int
    ) -> int:
        rows = await self._rows(
            """INSERT INTO deliveries (webhook_id, event_id, type, video_id, body)
            SELECT w.id, e.id, e.type, e.video_id, webhook_body(e)
            FROM webhooks AS w JOIN events AS e ON w.user_id IN ('', e.user_id)
            WHERE w.id = $1 AND e.created_at >= $2 AND (w.types = '{}' OR e.type = ANY(w.types))
              AND ($3::text[] = '{}' OR e.type = ANY($3))
            ORDER BY e.xid, e.seq LIMIT $4 RETURNING id""",
            webhook_id,
            since,
            sorted(types),
            limit,
        )
        return len(rows)


def _found(webhook_id: UUID, row: asyncpg.Record | None) -> Webhook:
    if row is None:
        raise WebhookNotFoundError(webhook_id)
    return _webhook(row)


def _webhook(row: asyncpg.Record) -> Webhook:
    return Webhook(
        id=row["id"],
        number=row["seq"],
        user_id=row["user_id"],
        url=row["url"],
        types=frozenset(row["types"]),
        is_disabled=row["is_disabled"],
        disabled_reason=row["disabled_reason"],
        created_at=row["created_at"],
    )


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        id=row["id"],
        number=row["seq"],
        webhook_id=row["webhook_id"],
        event_id=row["event_id"],
        type=row["type"],
        video_id=row["video_id"],
        state=DeliveryState(row["status"]),
        attempt=row["attempt"],
        created_at=row["created_at"],
        next_at=row["next_at"],
        http_status=row["http_status"],
        error=row["error"],
        took=timedelta(milliseconds=row["took_ms"]),
    )
