"""Runs single statements with a deadline over a pool or one connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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

    async def _rows_planned_anew(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Like `_rows`, for one more round trip: the plan is made for these arguments.

        After five executions, PostgreSQL may use one plan of a statement for all arguments.
        """
        async with database_errors(self._timeout), self._one_connection() as connection:
            statement = await connection.prepare(sql, name="")  # a pooler knows no names
            return await statement.fetch(*arguments)

    @asynccontextmanager
    async def _one_connection(
        self,
    ) -> AsyncIterator[asyncpg.Connection | asyncpg.pool.PoolConnectionProxy]:
        if isinstance(self._connection, asyncpg.Pool):
            async with self._connection.acquire() as connection:
                yield connection
        else:
            yield self._connection
