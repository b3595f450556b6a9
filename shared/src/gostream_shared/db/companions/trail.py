"""The rows about writes."""

import json
from datetime import timedelta

from gostream_shared.db.errors import database_errors
from gostream_shared.db.statements import Connection
from gostream_shared.domain.trail import TrailEntry


class PostgresTrail:
    """Implements gostream_shared.domain.trail.Trail on the connection of an open transaction."""

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def add(self, entry: TrailEntry) -> None:
        async with database_errors(self._timeout):
            await self._connection.execute(
                """INSERT INTO trail
                  (principal, kind, issuer, peer, method, video_id, outcome, reason, request_id, changed,
                   webhook_id, owner)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, CASE WHEN $11::uuid IS NULL
                  THEN (SELECT user_id FROM videos WHERE id = $6)
                  ELSE (SELECT user_id FROM webhooks WHERE id = $11) END)""",
                entry.principal,
                entry.kind,
                entry.issuer,
                entry.peer,
                entry.method,
                entry.video_id,
                entry.outcome.value,
                entry.reason,
                entry.request_id,
                json.dumps(dict(entry.changed)),
                entry.webhook_id,
            )

    async def delete_old(self, *, older_than: timedelta, limit: int) -> int:
        async with database_errors(self._timeout):
            done: str = await self._connection.execute(
                """DELETE FROM trail WHERE id IN (
                  SELECT id FROM trail WHERE at < now() - $1::interval
                  ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
                )""",
                older_than,
                limit,
            )
        return int(done.rpartition(" ")[2])
