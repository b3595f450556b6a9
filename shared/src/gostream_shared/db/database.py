"""The asyncpg pool and the transactions over it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, cast
from urllib.parse import urlsplit

import asyncpg
from pgqueuer.queries import Queries

from gostream_shared.db.companions.deletions import PostgresDeletions
from gostream_shared.db.companions.deliveries import PostgresDeliveries
from gostream_shared.db.companions.events import PostgresEvents
from gostream_shared.db.companions.remote_sources import PostgresRemoteSources
from gostream_shared.db.companions.trail import PostgresTrail
from gostream_shared.db.companions.upload_sessions import PostgresUploadSessions
from gostream_shared.db.companions.uploads import PostgresUploads
from gostream_shared.db.companions.usage import PostgresUsages
from gostream_shared.db.companions.webhooks import PostgresWebhooks
from gostream_shared.db.encodes import PostgresEncodes
from gostream_shared.db.epochs import PostgresEpochs
from gostream_shared.db.errors import BACKEND, connecting_errors, database_errors
from gostream_shared.db.outbox import PostgresGateChanges, PostgresOutbox
from gostream_shared.db.schema import missing_migrations
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.jobs.pgqueuer import PgQueuerJobQueue
from gostream_shared.observability.causes import name_server

#: Seconds that one statement may take; a caller's own deadline cancels it earlier.
STATEMENT_TIMEOUT = 5.0
#: Seconds that a transaction may take, an object store's PUT under the row lock included.
TRANSACTION_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class PostgresTransaction:
    """One open transaction. Its writes and jobs commit together."""

    videos: PostgresVideoRepository
    encodes: PostgresEncodes
    deletions: PostgresDeletions
    uploads: PostgresUploads
    remote_sources: PostgresRemoteSources
    upload_sessions: PostgresUploadSessions
    trail: PostgresTrail
    usages: PostgresUsages
    webhooks: PostgresWebhooks
    jobs: PgQueuerJobQueue


class PostgresDatabase:
    """The database of record over a pool: `async with PostgresDatabase.open(url) as database`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.videos = PostgresVideoRepository(pool, timeout=STATEMENT_TIMEOUT)
        self.encodes = PostgresEncodes(pool, timeout=STATEMENT_TIMEOUT)
        self.deletions = PostgresDeletions(pool, timeout=STATEMENT_TIMEOUT)
        self.upload_sessions = PostgresUploadSessions(pool, timeout=STATEMENT_TIMEOUT)
        self.outbox = PostgresOutbox(pool, timeout=STATEMENT_TIMEOUT)
        self.gates = PostgresGateChanges(pool, timeout=STATEMENT_TIMEOUT)
        self.remote_sources = PostgresRemoteSources(pool, timeout=STATEMENT_TIMEOUT)
        self.usages = PostgresUsages(pool, timeout=STATEMENT_TIMEOUT)
        self.events = PostgresEvents(pool, timeout=STATEMENT_TIMEOUT)
        self.webhooks = PostgresWebhooks(pool, timeout=STATEMENT_TIMEOUT)
        self.deliveries = PostgresDeliveries(pool, timeout=STATEMENT_TIMEOUT)
        self.epochs = PostgresEpochs(pool, timeout=STATEMENT_TIMEOUT)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, min_size: int = 1, max_size: int = 10) -> AsyncIterator[Self]:
        """Connect and check the connection.

        Raises BackendUnavailableError if the database does not answer in 10 s, and BackendRefusedError if it
        rejects the user, the password or the database name.
        """
        name_server(BACKEND, _server(url))
        async with connecting_errors(10):
            pool = await asyncpg.create_pool(
                url,
                min_size=min_size,
                max_size=max_size,
                command_timeout=STATEMENT_TIMEOUT,
                server_settings={
                    "application_name": "gostream",
                    "timezone": "UTC",
                    # A frozen process must not hold a row lock until it resumes.
                    "idle_in_transaction_session_timeout": f"{TRANSACTION_TIMEOUT:.0f}s",
                },
            )
        try:
            yield cls(pool)
        finally:
            pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Commit at the end of the block, roll back on an error. Raises BackendUnavailableError."""
        async with (
            database_errors(TRANSACTION_TIMEOUT),
            self.pool.acquire() as connection,
            connection.transaction(),
        ):
            plain = cast("asyncpg.Connection", connection)
            yield PostgresTransaction(
                videos=PostgresVideoRepository(connection, timeout=STATEMENT_TIMEOUT),
                encodes=PostgresEncodes(connection, timeout=STATEMENT_TIMEOUT),
                deletions=PostgresDeletions(connection, timeout=STATEMENT_TIMEOUT),
                uploads=PostgresUploads(connection, timeout=STATEMENT_TIMEOUT),
                remote_sources=PostgresRemoteSources(connection, timeout=STATEMENT_TIMEOUT),
                upload_sessions=PostgresUploadSessions(connection, timeout=STATEMENT_TIMEOUT),
                trail=PostgresTrail(connection, timeout=STATEMENT_TIMEOUT),
                usages=PostgresUsages(connection, timeout=STATEMENT_TIMEOUT),
                webhooks=PostgresWebhooks(connection, timeout=STATEMENT_TIMEOUT),
                jobs=PgQueuerJobQueue(Queries.from_asyncpg_connection(plain)),
            )

    async def missing_migrations(self) -> list[str]:
        """Returns the migrations that this release needs and the database lacks.

        Raises BackendUnavailableError.
        """
        async with database_errors(STATEMENT_TIMEOUT):
            return await missing_migrations(self.pool, timeout=STATEMENT_TIMEOUT)


def _server(url: str) -> str:
    """Returns host, port and database name of the URL, without user and password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
