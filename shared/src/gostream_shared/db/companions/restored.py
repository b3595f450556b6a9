"""What a restored database needs before the services start."""

import asyncpg

#: The next process begins an epoch whose number contains the time. A dump causes that itself; a copy of the
#: files has the lineage, and may have the timeline, of the database that it was taken from.
_EPOCH = "UPDATE cache_epochs SET lineage = 'restored'"
#: In a new cluster transaction ids begin again, and readers of events go by them.
_EVENTS = "UPDATE events SET xid = pg_current_xact_id()"
_DELETED = "UPDATE events_deleted SET xid = pg_current_xact_id(), seq = 0"


async def begin_anew(connection: asyncpg.Connection) -> None:
    """Ends the epoch of the cache and the resume tokens of events. Harmless if repeated."""
    async with connection.transaction():
        for statement in (_EPOCH, _EVENTS, _DELETED):
            await connection.execute(statement)
