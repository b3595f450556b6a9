"""Whether the schema has what this release needs."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from gostream_shared.db.migrate import migrations
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.observability.causes import note_cause

_log = structlog.stdlib.get_logger("gostream.backend")

#: Seconds between two looks while migrations are missing.
LOOK_INTERVAL = 1.0
#: Seconds between two looks afterwards: a table may be dropped, or the database replaced by an older copy.
RECHECK_INTERVAL = 15.0
_EXISTS = "to_regclass($1) IS NOT NULL"


async def missing_migrations(pool: asyncpg.Pool, *, timeout: float) -> list[str]:
    """Migrations of this release that the database does not have, the queue's schema included.

    A newer schema has them all: every migration works with the previous release.
    """
    history = await pool.fetchval(f"SELECT {_EXISTS}", "gostream_migrations", timeout=timeout)
    query = "SELECT name FROM gostream_migrations"
    applied = {row["name"] for row in await pool.fetch(query, timeout=timeout)} if history else set()
    missing = sorted(set(migrations()) - applied)
    queue = await pool.fetchval(f"SELECT {_EXISTS}", "pgqueuer", timeout=timeout)
    return missing if queue else [*missing, "pgqueuer"]


class SchemaWatch:
    """Looks at the schema until it has what this release needs, and afterwards whether it still has."""

    def __init__(self, missing: Callable[[], Awaitable[list[str]]]) -> None:
        self._missing = missing

    async def is_current(self) -> bool:
        """One look. False also if the database does not answer; logs what is missing, at bounded rates."""
        return await self._look() is True

    async def until_current(self) -> None:
        """Return once the schema has what is needed."""
        while not await self.is_current():
            await asyncio.sleep(LOOK_INTERVAL)
        _log.info("schema is current")

    async def until_outdated(self) -> None:
        """Return once the schema lacks something; a database that does not answer lacks nothing."""
        while await self._look() is not False:
            await asyncio.sleep(RECHECK_INTERVAL)

    async def _look(self) -> bool | None:
        """Whether the schema is current; None if the database does not answer."""
        try:
            missing = await self._missing()
        except BackendUnavailableError:
            return None  # its cause is in the log
        if missing:
            note_cause(
                "database", "schema", f"not migrated: {', '.join(missing)} missing; run gostream-migrate up"
            )
        return not missing
