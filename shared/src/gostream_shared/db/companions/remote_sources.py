"""Sources that no one uploads."""

from uuid import UUID

from gostream_shared.db.statements import Statements
from gostream_shared.domain.companions.remote_sources import RemoteSource


class PostgresRemoteSources(Statements):
    """Implements domain.companions.remote_sources.RemoteSources over a pool or one connection."""

    async def add(self, video_id: UUID, source: RemoteSource) -> None:
        await self._row(
            "INSERT INTO remote_sources (video_id, url, object_key) VALUES ($1, $2, $3)",
            video_id,
            source.url or None,
            source.key or None,
        )

    async def get(self, video_id: UUID) -> RemoteSource | None:
        row = await self._row("SELECT url, object_key FROM remote_sources WHERE video_id = $1", video_id)
        return RemoteSource(url=row["url"] or "", key=row["object_key"] or "") if row else None

    async def lock_unfetched(self, video_id: UUID) -> bool:
        # Two statements: only after the lock does a statement see what a concurrent attempt has committed.
        await self._row("SELECT 1 FROM videos WHERE id = $1 FOR UPDATE", video_id)
        remote = await self.get(video_id)
        return remote is not None and bool(remote.url)

    async def note_fetched(self, video_id: UUID, *, size_bytes: int, sha256: bytes | None) -> None:
        await self._row(
            """UPDATE remote_sources SET url = NULL, fetched_at = now(), size_bytes = $2, sha256 = $3
            WHERE video_id = $1""",
            video_id,
            size_bytes,
            sha256,
        )
