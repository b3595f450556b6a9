"""The rows of deliveries, as workers lease and settle them."""

from collections.abc import Sequence
from datetime import timedelta

from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.webhooks import Answer, Try

#: Written into deliveries that were due for too long, without another try.
_TOO_OLD = "not delivered in time"


class PostgresDeliveries(Statements):
    """Implements domain.companions.webhooks.Deliveries over a pool."""

    async def fan_out(self, limit: int) -> int:
        [row] = await self._rows(
            """WITH taken AS (
              DELETE FROM event_outbox WHERE (xid, seq) IN (
                SELECT xid, seq FROM event_outbox ORDER BY xid, seq LIMIT $1 FOR UPDATE SKIP LOCKED
              ) RETURNING xid, seq
            ), made AS (
              INSERT INTO deliveries (webhook_id, event_id, type, video_id, body)
              SELECT w.id, e.id, e.type, e.video_id, webhook_body(e)
              FROM taken JOIN events AS e USING (xid, seq)
              JOIN webhooks AS w ON w.user_id IN ('', e.user_id)
                AND NOT w.is_disabled AND (w.types = '{}' OR e.type = ANY(w.types))
              ORDER BY e.xid, e.seq
            )
            SELECT count(*) AS events FROM taken""",
            limit,
        )
        return int(row["events"])

    async def claim(self, *, limit: int, at_once: int, lease: timedelta, failing: int) -> Sequence[Try]:
        # The lock on the webhook makes the number of its leases exact. Its row stays readable.
        rows = await self._rows(
            """WITH free AS MATERIALIZED (
              SELECT id, (CASE WHEN failures >= $4 THEN 1 ELSE $2::bigint END) - (
                SELECT count(*) FROM deliveries
                WHERE webhook_id = w.id AND status = 'PENDING' AND leased_until > now()) AS room
              FROM webhooks AS w
              WHERE NOT is_disabled AND coalesce(paused_until <= now(), true) AND EXISTS (
                SELECT FROM deliveries WHERE webhook_id = w.id AND status = 'PENDING' AND next_at <= now())
              ORDER BY random() LIMIT $1 FOR NO KEY UPDATE OF w SKIP LOCKED
            ), due AS MATERIALIZED (
              SELECT found.id FROM free CROSS JOIN LATERAL (
                SELECT id FROM deliveries
                WHERE webhook_id = free.id AND status = 'PENDING' AND next_at <= now()
                ORDER BY next_at LIMIT greatest(free.room, 0) FOR UPDATE SKIP LOCKED
              ) AS found LIMIT $1
            )
            UPDATE deliveries AS d
            SET attempt = d.attempt + 1, leased_until = now() + $3, next_at = now() + $3
            FROM due JOIN deliveries AS old USING (id) JOIN webhooks AS w ON w.id = old.webhook_id
            WHERE d.id = due.id
            RETURNING d.id, d.webhook_id, d.event_id, d.attempt, d.created_at, d.body, w.url, ARRAY(
              SELECT secret FROM webhook_secrets AS s
              WHERE s.webhook_id = w.id AND (s.expires_at IS NULL OR s.expires_at > now())
              ORDER BY s.created_at DESC) AS secrets""",
            limit,
            at_once,
            lease,
            failing,
        )
        return [
            Try(
                delivery_id=row["id"],
                webhook_id=row["webhook_id"],
                event_id=row["event_id"],
                attempt=row["attempt"],
                created_at=row["created_at"],
                url=row["url"],
                body=row["body"],
                secrets=row["secrets"],
            )
            for row in rows
        ]

    async def settle(self, done: Try, answer: Answer, *, failing: int) -> bool:
        is_delivered = 200 <= answer.http_status < 300
        row = await self._row(
            """WITH settled AS (
              UPDATE deliveries SET
                status = CASE WHEN $3 THEN 'DELIVERED'
                  WHEN $4::interval IS NULL THEN 'DEAD' ELSE 'PENDING' END,
                next_at = now() + coalesce($4, interval '0'), leased_until = NULL,
                http_status = $5, error = $6, took_ms = $7
              WHERE id = $1 AND attempt = $2 AND status = 'PENDING' RETURNING webhook_id, status
            ), health AS (
              UPDATE webhooks AS w SET
                failures = CASE WHEN $3 THEN 0 ELSE failures + 1 END,
                paused_until = CASE WHEN NOT $3 AND failures + 1 >= $8
                  THEN now() + make_interval(secs => power(2, least(failures + 1 - $8, 6))) END,
                is_disabled = is_disabled OR $9,
                disabled_reason = CASE WHEN $9 THEN 'the receiver has answered 410 Gone'
                  ELSE disabled_reason END
              FROM settled
              WHERE w.id = settled.webhook_id AND NOT ($3 AND w.failures = 0 AND w.paused_until IS NULL)
            )
            SELECT status FROM settled""",
            done.delivery_id,
            done.attempt,
            is_delivered,
            answer.retry_in,
            answer.http_status,
            answer.error,
            round(answer.took.total_seconds() * 1000),
            failing,
            answer.is_gone,
        )
        return row is not None and row["status"] == "DEAD"

    async def end_overdue(self, *, older_than: timedelta, limit: int) -> int:
        """End what was not delivered in this time, because its receiver failed or was disabled."""
        rows = await self._rows(
            """UPDATE deliveries SET status = 'DEAD', error = $3, leased_until = NULL WHERE id IN (
              SELECT id FROM deliveries WHERE status = 'PENDING' AND created_at < now() - $1::interval
              ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id""",
            older_than,
            limit,
            _TOO_OLD,
        )
        return len(rows)

    async def delete_old(self, *, older_than: timedelta, limit: int) -> int:
        rows = await self._rows(
            """DELETE FROM deliveries WHERE id IN (
              SELECT id FROM deliveries WHERE created_at < now() - $1::interval AND status <> 'PENDING'
              ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id""",
            older_than,
            limit,
        )
        return len(rows)
