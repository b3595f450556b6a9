"""`gostream-migrate`: applies numbered SQL files once each, in order, under an advisory lock.

`gostream-migrate assign-owner OLD NEW` gives the videos of the user_id OLD to the owner NEW, for videos that
were created before callers had to authenticate.

`gostream-migrate recount-usage` makes the usage of every owner equal to its videos.

`gostream-migrate restored` ends the epoch of the cache, and the resume tokens of events, after a backup was
restored.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from importlib.resources import files

import asyncpg
from pgqueuer.queries import Queries

from gostream_shared.db.companions import restored, usage
from gostream_shared.db.connecting.hosts import connect

LOCK = 0x676F7374  # "gost": one migration run at a time per database
_HISTORY = """
CREATE TABLE IF NOT EXISTS gostream_migrations (
  name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()
)"""


#: Seconds for all migrations. To build the indexes of many videos takes minutes.
_TIMEOUT = 7200.0
#: Videos per transaction of assign_owner, so that no other write waits long.
_BATCH = 500
# Request ids belong to the caller that used them, so the new owner starts without any.
_ASSIGN = """UPDATE videos SET user_id = $2, request_id = NULL WHERE id IN (
  SELECT id FROM videos WHERE user_id = $1 AND deleted_at IS NULL LIMIT $3 FOR UPDATE
)"""


def migrations() -> dict[str, str]:
    """Returns the migrations of this release, SQL by name, in order."""
    folder = files("gostream_shared.db") / "migrations"
    found = {entry.name: entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".sql")}
    return dict(sorted(found.items()))


async def migrate(database_url: str, *, timeout: float = _TIMEOUT) -> list[str]:
    """Apply the pending migrations and return their names. Concurrent runs are safe.

    Each migration commits together with its history row, so an interrupted run can be repeated.
    """
    async with asyncio.timeout(timeout):
        connection = await connect(database_url)
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
            return await _apply(connection)
        finally:
            await connection.close()  # releases the lock


async def _apply(connection: asyncpg.Connection) -> list[str]:
    await connection.execute(_HISTORY)
    done = {row["name"] for row in await connection.fetch("SELECT name FROM gostream_migrations")}
    applied = []
    for name, sql in migrations().items():
        if name in done:
            continue
        async with connection.transaction():
            await connection.execute(sql)
            await connection.execute("INSERT INTO gostream_migrations (name) VALUES ($1)", name)
        applied.append(name)
    return applied + await _apply_queue_schema(Queries.from_asyncpg_connection(connection))


async def _apply_queue_schema(queue: Queries) -> list[str]:
    """Install or upgrade the tables of the job queue, which the PgQueuer library defines."""
    if not await queue.schema_is_installed():
        await queue.install()
        return ["pgqueuer"]
    return ["pgqueuer upgrade"] if (await queue.apply_upgrade()).statements else []


async def pending(database_url: str) -> list[str]:
    """Returns the names of the migrations that `migrate` would apply."""
    connection = await connect(database_url, timeout=10)
    try:
        known = await connection.fetchval("SELECT to_regclass('gostream_migrations') IS NOT NULL")
        rows = await connection.fetch("SELECT name FROM gostream_migrations") if known else []
        return sorted(set(migrations()) - {row["name"] for row in rows})
    finally:
        await connection.close()


async def assign_owner(database_url: str, old: str, new: str) -> int:
    """Give the videos of the user_id `old` to `new`. Returns their number.

    Each video gets a new version, so caches follow as after any write. An interrupted run can be repeated.
    """
    if old == new:
        return 0
    connection = await connect(database_url, timeout=10, command_timeout=60)
    try:
        total = 0
        while count := int((await connection.execute(_ASSIGN, old, new, _BATCH)).rpartition(" ")[2]):
            total += count
        return total
    finally:
        await connection.close()


async def recount_usage(database_url: str) -> int:
    """Make the usage of every owner equal to its videos. Returns the number of owners that were wrong."""
    connection = await connect(database_url, timeout=10, command_timeout=60)
    try:
        return await usage.recount(connection)
    finally:
        await connection.close()


async def begin_after_restore(database_url: str) -> None:
    """Make entries of the cache from before a restore unreadable, and all events readable.

    Resume tokens of before are refused from then on.
    """
    connection = await connect(database_url, timeout=10, command_timeout=600)
    try:
        await restored.begin_anew(connection)
    finally:
        await connection.close()


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--database-url",
        default=os.environ.get("DATABASE_DIRECT_URL") or os.environ.get("DATABASE_URL"),
        help="default: the environment variable DATABASE_DIRECT_URL, else DATABASE_URL",
    )
    parser = argparse.ArgumentParser(prog="gostream-migrate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[common], help="apply the pending migrations")
    commands.add_parser("status", parents=[common], help="list the pending migrations")
    assign = commands.add_parser("assign-owner", parents=[common], help="give videos to an owner")
    assign.add_argument("old", help="the present user_id of the videos; may be empty")
    assign.add_argument("new", help="the new owner: issuer-alias:subject, or a SPIFFE id")
    commands.add_parser("recount-usage", parents=[common], help="count again what owners use")
    commands.add_parser("restored", parents=[common], help="begin anew after a backup was restored")
    return parser


def _is_pooled(environment: Mapping[str, str]) -> bool:
    """Reads the variable as the services do. Text that they reject counts as set."""
    return environment.get("DATABASE_POOLED", "").lower() not in ("", "0", "f", "false", "n", "no", "off")


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    if not arguments.database_url:
        parser.error("DATABASE_URL is not set")
    if _is_pooled(os.environ) and arguments.database_url == os.environ.get("DATABASE_URL"):
        parser.error(
            "DATABASE_URL is a pooler (DATABASE_POOLED), which keeps no session and so no lock; set "
            "DATABASE_DIRECT_URL to the address of PostgreSQL itself"
        )
    if arguments.command == "assign-owner" and not 0 < len(arguments.new) <= 128:
        parser.error("the new owner must have 1 to 128 characters")
    try:
        if arguments.command == "up":
            applied = asyncio.run(migrate(arguments.database_url))
            print("\n".join(f"applied {name}" for name in applied) or "up to date")
        elif arguments.command == "assign-owner":
            count = asyncio.run(assign_owner(arguments.database_url, arguments.old, arguments.new))
            print(f"{count} videos now belong to {arguments.new}")
        elif arguments.command == "recount-usage":
            count = asyncio.run(recount_usage(arguments.database_url))
            print(f"{count} owners had a wrong usage")
        elif arguments.command == "restored":
            asyncio.run(begin_after_restore(arguments.database_url))
            print("the epoch of the cache and the resume tokens of before are at their end")
        else:
            waiting = asyncio.run(pending(arguments.database_url))
            print("\n".join(f"pending {name}" for name in waiting) or "up to date")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sys.exit(f"gostream-migrate: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
