"""Writes the downloads of a published encode."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import TypeAdapter

from gostream_shared.db.rows import VIDEO_COLUMNS, video_from_row
from gostream_shared.db.statements import Statements
from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.downloads import Download

_downloads = TypeAdapter(tuple[Download, ...])


class PostgresDownloads(Statements):
    """Implements gostream_shared.domain.videos.downloads.Downloads over a pool or one connection."""

    async def finish(
        self, video_id: UUID, number: int, downloads: Sequence[Download], *, stored_bytes: int
    ) -> Video | None:
        row = await self._row(
            f"""UPDATE videos SET publication = jsonb_set(publication, '{{downloads}}', $3::jsonb)
            WHERE id = $1 AND published_number = $2 AND deleted_at IS NULL
            RETURNING {VIDEO_COLUMNS}""",
            video_id,
            number,
            _downloads.dump_json(tuple(downloads)).decode(),
        )
        if row is None:
            return None
        await self._row(
            """UPDATE stored_bytes SET bytes = bytes + $3 WHERE video_id = $1 AND number = $2
            RETURNING bytes""",
            video_id,
            number,
            stored_bytes,
        )
        return video_from_row(row)
