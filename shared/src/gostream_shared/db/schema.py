"""Checks that the schema has the migrations of this release."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from gostream_shared.db.migrate import migrations
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.observability.causes import note_cause

_log = structlog.stdlib.get_logger("gostream.backend")

#: Seconds between two checks while migrations are missing.
LOOK_INTERVAL = 1.0
#: Seconds between two later checks: a table may be dropped, or the database replaced by an older copy.
RECHECK_INTERVAL = 15.0
_EXISTS = "to_regclass($1) IS NOT NULL"


async def missing_migrations(pool: asyncpg.Pool, *, timeout: float) -> list[str]:
    """Returns the migrations of this release that the database lacks, including the queue's schema.

    A newer schema has all of them: every migration works with the previous release.
    """
    history = await pool.fetchval(f"SELECT {_EXISTS}", "gostream_migrations", timeout=timeout)
    query = "SELECT name FROM gostream_migrations"
    applied = {row["name"] for row in await pool.fetch(query, timeout=timeout)} if history else set()
    missing = sorted(set(migrations()) - applied)
    queue = await pool.fetchval(f"SELECT {_EXISTS}", "pgqueuer", timeout=timeout)
    return missing if queue else [*missing, "pgqueuer"]


class SchemaWatch:
    """Waits until the schema has the migrations of this release, and then until it lacks one again."""

    def __init__(self, missing: Callable[[], Awaitable[list[str]]]) -> None:
        self._missing = missing

    async def is_current(self) -> bool:
        """Check once. Returns False also if the database does not answer. Logs missing migrations."""
        return await self._look() is True

    async def until_current(self) -> None:
        """Wait until no migration is missing."""
        while not await self.is_current():
            await asyncio.sleep(LOOK_INTERVAL)
        _log.info("schema is current")

    async def until_outdated(self) -> None:
        """Wait until a migration is missing. A database that does not answer counts as current."""
        while await self._look() is not False:
            await asyncio.sleep(RECHECK_INTERVAL)

    async def _look(self) -> bool | None:
        """Returns True if the schema is current; None if the database does not answer."""
        try:
            missing = await self._missing()
        except BackendUnavailableError:
            return None  # the cause is in the log
        if missing:
            note_cause(
                "database", "schema", f"not migrated: {', '.join(missing)} missing; run gostream-migrate up"
            )
        return not missing
