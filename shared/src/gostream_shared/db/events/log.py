"""The rows of the event log."""

import json
from collections.abc import Iterator
from datetime import timedelta

import asyncpg

from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.errors import ResumeTokenExpiredError
from gostream_shared.domain.companions.events import (
    MAX_SEQ,
    Event,
    EventFilter,
    EventPage,
    EventPosition,
)

#: One statement has one snapshot: below `xmin`, it sees every event that there will ever be. asyncpg has no
#: codec for xid8, so it passes as text.
_SNAPSHOT = (
    "SELECT pg_snapshot_xmin(now) AS xmin, pg_snapshot_xmax(now) AS xmax FROM pg_current_snapshot() AS now"
)
#: Begins a scan by `since` earlier: transactions write their events in another order than they begin.
_SLACK = "interval '1 hour'"


class PostgresEvents(Statements):
    """Implements domain.companions.events.Events over a pool or one connection."""

    async def read(self, which: EventFilter, *, after: EventPosition | None, limit: int) -> EventPage:
        arguments: list[object] = [limit]
        conditions = " AND ".join(_conditions(which, after, arguments))
        rows = await self._rows(
            f"""WITH snapshot AS MATERIALIZED ({_SNAPSHOT}), page AS (
              SELECT xid, seq, id, type, video_id, version, user_id, created_at, data FROM events
              WHERE xid < (SELECT xmin FROM snapshot) {"AND " + conditions if conditions else ""}
              ORDER BY xid, seq LIMIT $1
            )
            SELECT xmin::text::bigint AS xmin, xmax::text::bigint AS xmax,
              gone.xid::text::bigint AS gone_xid, gone.seq AS gone_seq,
              EXISTS (SELECT FROM events WHERE xid >= (SELECT xmin FROM snapshot)) AS is_unsettled,
              page.xid::text::bigint AS xid, page.seq, id, type, video_id, version, user_id, created_at, data
            FROM snapshot CROSS JOIN events_deleted AS gone LEFT JOIN page ON true
            ORDER BY page.xid, page.seq""",
            *arguments,
        )
        first = rows[0]
        gone = EventPosition(first["gone_xid"], first["gone_seq"])
        # Positions of another cluster may be ahead of this one.
        if after is not None and (after < gone or after.xid >= first["xmax"]):
            raise ResumeTokenExpiredError
        events = [_event(row) for row in rows if row["id"] is not None]
        has_more = len(events) == limit
        settled = EventPosition(first["xmin"] - 1, MAX_SEQ)
        end = events[-1].position if has_more else max(settled, after or settled)
        return EventPage(events=events, end=end, has_more=has_more, is_unsettled=first["is_unsettled"])

    async def end(self) -> EventPosition:
        [row] = await self._rows(f"SELECT xmin::text::bigint AS xmin FROM ({_SNAPSHOT}) AS snapshot")
        return EventPosition(row["xmin"] - 1, MAX_SEQ)

    async def delete_old(self, *, older_than: timedelta, limit: int) -> int:
        [row] = await self._rows(
            """WITH old AS (
              DELETE FROM events WHERE (xid, seq) IN (
                SELECT xid, seq FROM events WHERE created_at < now() - $1::interval
                ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
              ) RETURNING xid, seq
            ), latest AS (SELECT xid, seq FROM old ORDER BY xid DESC, seq DESC LIMIT 1
            ), noted AS (
              UPDATE events_deleted AS gone SET xid = latest.xid, seq = latest.seq FROM latest
              WHERE (gone.xid, gone.seq) < (latest.xid, latest.seq)
            )
            SELECT count(*) AS deleted FROM old""",
            older_than,
            limit,
        )
        return int(row["deleted"])


def _conditions(which: EventFilter, after: EventPosition | None, arguments: list[object]) -> Iterator[str]:
    """Yields the conditions and adds their arguments."""

    def argument(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    if after is not None:
        yield f"(xid, seq) > ({argument(str(after.xid))}::text::xid8, {argument(after.seq)}::bigint)"
    if which.user_id is not None:
        yield f"user_id = {argument(which.user_id)}"
    if which.types:
        yield f"type = ANY({argument(sorted(which.types))})"
    if which.video_id is not None:
        yield f"video_id = {argument(which.video_id)}"
    if which.since is not None:
        since = argument(which.since)
        yield f"created_at >= {since}"
        yield f"""xid >= coalesce((SELECT xid FROM events WHERE created_at >= {since} - {_SLACK}
          ORDER BY created_at LIMIT 1), '0')"""


def _event(row: asyncpg.Record) -> Event:
    return Event(
        position=EventPosition(row["xid"], row["seq"]),
        id=row["id"],
        type=row["type"],
        video_id=row["video_id"],
        version=row["version"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        data=json.loads(row["data"]),
    )
