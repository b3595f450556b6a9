"""Runs single statements with a deadline over a pool or one connection."""

import asyncpg

from gostream_shared.db.errors import database_errors

Connection = asyncpg.Pool | asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Statements:
    """Base class of the repositories. `timeout` is the deadline of each statement in seconds."""

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def _row(self, sql: str, *arguments: object) -> asyncpg.Record | None:
        async with database_errors(self._timeout):
            return await self._connection.fetchrow(sql, *arguments)

    async def _rows(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with database_errors(self._timeout):
            return await self._connection.fetch(sql, *arguments)
