"""The cache epochs, stored in PostgreSQL so that a failover of Redis cannot lose them."""

import asyncpg

from gostream_shared.db.errors import database_errors

#: The current timeline. The control file has it only after the next checkpoint.
_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"


class PostgresEpochs:
    """Implements gostream_shared.cache.protocol.Epochs."""

    def __init__(self, pool: asyncpg.Pool, *, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    async def current(self, server: str) -> int | None:
        async with database_errors(self._timeout):  # a standby has no WAL position
            epoch: int | None = await self._pool.fetchval(f"SELECT cache_epoch($1, {_TIMELINE})", server)
        return epoch
