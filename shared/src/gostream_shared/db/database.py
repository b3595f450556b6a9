"""The asyncpg pool and the transactions over it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, cast

import asyncpg
from pgqueuer.queries import Queries

from gostream_shared.db.companions.added_tracks import PostgresAddedTracks
from gostream_shared.db.companions.chunks import PostgresChunks
from gostream_shared.db.companions.deletions import PostgresDeletions
from gostream_shared.db.companions.downloads import PostgresDownloads
from gostream_shared.db.companions.explanations import PostgresExplanations
from gostream_shared.db.companions.remote_sources import PostgresRemoteSources
from gostream_shared.db.companions.trail import PostgresTrail
from gostream_shared.db.companions.upload_sessions import PostgresUploadSessions
from gostream_shared.db.companions.uploads import PostgresUploads
from gostream_shared.db.companions.usage import PostgresUsages
from gostream_shared.db.connecting import pool as pools
from gostream_shared.db.connecting.address import DatabaseAddress
from gostream_shared.db.connecting.pool import STATEMENT_TIMEOUT, open_pool, transaction
from gostream_shared.db.encodes import PostgresEncodes
from gostream_shared.db.epochs import PostgresEpochs
from gostream_shared.db.errors import BACKEND, connecting_errors, database_errors
from gostream_shared.db.events.deliveries import PostgresDeliveries
from gostream_shared.db.events.log import PostgresEvents
from gostream_shared.db.events.webhooks import PostgresWebhooks
from gostream_shared.db.listen import SharedListener
from gostream_shared.db.outbox import PostgresGateChanges, PostgresOutbox
from gostream_shared.db.schema import missing_migrations
from gostream_shared.db.videos import PostgresVideoRepository
from gostream_shared.jobs.pgqueuer import PgQueuerJobQueue
from gostream_shared.observability.causes import name_server


@dataclass(frozen=True, slots=True)
class PostgresTransaction:
    """One open transaction. Its writes and jobs commit together."""

    videos: PostgresVideoRepository
    encodes: PostgresEncodes
    chunks: PostgresChunks
    deletions: PostgresDeletions
    downloads: PostgresDownloads
    uploads: PostgresUploads
    remote_sources: PostgresRemoteSources
    upload_sessions: PostgresUploadSessions
    added_tracks: PostgresAddedTracks
    trail: PostgresTrail
    usages: PostgresUsages
    webhooks: PostgresWebhooks
    jobs: PgQueuerJobQueue


class PostgresDatabase:
    """The database of record over a pool: `async with PostgresDatabase.open(url) as database`."""

    def __init__(self, pool: asyncpg.Pool, address: DatabaseAddress) -> None:
        self.pool = pool
        self.address = address
        self.videos = PostgresVideoRepository(pool, timeout=STATEMENT_TIMEOUT)
        self.encodes = PostgresEncodes(pool, timeout=STATEMENT_TIMEOUT)
        self.chunks = PostgresChunks(pool, timeout=STATEMENT_TIMEOUT)
        self.deletions = PostgresDeletions(pool, timeout=STATEMENT_TIMEOUT)
        self.upload_sessions = PostgresUploadSessions(pool, timeout=STATEMENT_TIMEOUT)
        self.outbox = PostgresOutbox(pool, timeout=STATEMENT_TIMEOUT)
        self.gates = PostgresGateChanges(pool, timeout=STATEMENT_TIMEOUT)
        self.remote_sources = PostgresRemoteSources(pool, timeout=STATEMENT_TIMEOUT)
        self.added_tracks = PostgresAddedTracks(pool, timeout=STATEMENT_TIMEOUT)
        self.usages = PostgresUsages(pool, timeout=STATEMENT_TIMEOUT)
        self.events = PostgresEvents(pool, timeout=STATEMENT_TIMEOUT)
        self.webhooks = PostgresWebhooks(pool, timeout=STATEMENT_TIMEOUT)
        self.deliveries = PostgresDeliveries(pool, timeout=STATEMENT_TIMEOUT)
        self.explanations = PostgresExplanations(pool, timeout=STATEMENT_TIMEOUT)
        self.epochs = PostgresEpochs(pool, timeout=STATEMENT_TIMEOUT)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, address: DatabaseAddress | str, *, min_size: int = 1, max_size: int = 10
    ) -> AsyncIterator[Self]:
        """Connect and check the connection. A string is the URL of a database without a pooler.

        Raises BackendUnavailableError if no primary answers in 10 s, and BackendRefusedError if the database
        rejects the user, the password or the database name, or its only host is a standby.
        """
        if isinstance(address, str):
            address = DatabaseAddress.direct(address)
        name_server(BACKEND, address.name)
        async with connecting_errors(10):
            pool = await open_pool(address, min_size=min_size, max_size=max_size)
        try:
            yield cls(pool, address)
        finally:
            pool.terminate()

    def listener(self) -> SharedListener:
        """Returns a listener to notifications, which needs no connection of the pool."""
        return SharedListener(self.address.direct_url)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Commit at the end of the block, roll back on an error. Raises BackendUnavailableError."""
        async with database_errors(pools.TRANSACTION_TIMEOUT), transaction(self.pool) as connection:
            plain = cast("asyncpg.Connection", connection)
            yield PostgresTransaction(
                videos=PostgresVideoRepository(connection, timeout=STATEMENT_TIMEOUT),
                encodes=PostgresEncodes(connection, timeout=STATEMENT_TIMEOUT),
                chunks=PostgresChunks(connection, timeout=STATEMENT_TIMEOUT),
                deletions=PostgresDeletions(connection, timeout=STATEMENT_TIMEOUT),
                downloads=PostgresDownloads(connection, timeout=STATEMENT_TIMEOUT),
                uploads=PostgresUploads(connection, timeout=STATEMENT_TIMEOUT),
                remote_sources=PostgresRemoteSources(connection, timeout=STATEMENT_TIMEOUT),
                upload_sessions=PostgresUploadSessions(connection, timeout=STATEMENT_TIMEOUT),
                added_tracks=PostgresAddedTracks(connection, timeout=STATEMENT_TIMEOUT),
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
