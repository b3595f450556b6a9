"""Files of a published video that viewers may keep."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from gostream_shared.domain.video import Video


class DownloadState(enum.StrEnum):
    """Where a download is in its life. The names are those of the API's enum without the prefix."""

    PREPARING = "PREPARING"
    READY = "READY"
    FAILED = "FAILED"


class DownloadCode(enum.StrEnum):
    """Why there is no download. The codes are part of the API."""

    NO_SOUND = "NO_SOUND"
    TOO_LARGE = "TOO_LARGE"
    UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file. `name` is one of gostream_shared.domain.videos.options.DOWNLOADS.

    `path` below hls/{id}/, `size_bytes` and `content_type` are set if it is READY, `error_code` if it is
    FAILED.
    """

    name: str
    state: DownloadState = DownloadState.PREPARING
    path: str = ""
    size_bytes: int = 0
    content_type: str = ""
    error_code: str = ""


class Downloads(Protocol):
    """The downloads of published encodes. Raises BackendUnavailableError."""

    async def finish(
        self, video_id: UUID, number: int, downloads: Sequence[Download], *, stored_bytes: int
    ) -> "Video | None":
        """Set the downloads of the published encode, and count their bytes. Returns the video.

        Returns None and changes nothing if the encode is not published, or the video was deleted. Belongs in
        a transaction.
        """
        ...
