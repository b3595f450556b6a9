"""The use case GetPlaybackInfo: the URLs that play a video, signed if its policy says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.videos.playback_tokens import PlaybackKeys, expiry
from gostream_shared.domain.errors import BackendUnavailableError
from gostream_shared.domain.object_keys import early_master_key, hls_prefix, master_key
from gostream_shared.domain.playback import PlaybackPolicy
from gostream_shared.domain.repositories import Database
from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.downloads import Download


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackUrls:
    """URLs at the CDN; empty where there is nothing to play. `expires_at` = None: they do not expire."""

    playback: str = ""
    poster: str = ""
    storyboard: str = ""
    preview: str = ""
    playable: str = ""
    downloads: Sequence[tuple[Download, str]] = ()  # the ones that are READY, each with its URL
    expires_at: datetime | None = None


class PlaybackService:
    """Finds the URLs of a video. Reads the row, because a cached epoch may have been revoked."""

    def __init__(
        self, database: Database, *, cdn_base_url: str, keys: PlaybackKeys | None, token_ttl: timedelta
    ) -> None:
        self._database = database
        self._cdn_base_url = cdn_base_url
        self._keys = keys
        self._token_ttl = token_ttl

    @property
    def signs(self) -> bool:
        """True if there are keys, so that videos may have the policy SIGNED."""
        return self._keys is not None

    async def get_playback_info(
        self, caller: Principal, video_id: UUID, *, ttl: timedelta | None
    ) -> PlaybackUrls:
        """Returns the URLs. Raises VideoNotFoundError and BackendUnavailableError."""
        video = await self._database.videos.get(video_id, owner=caller.sees)
        if video.playback_policy is PlaybackPolicy.OFF:
            return PlaybackUrls()
        if video.playback_policy is PlaybackPolicy.PUBLIC:
            return urls(video, self._cdn_base_url, None)
        if self._keys is None:
            raise BackendUnavailableError("signing key", "PLAYBACK_KEYS_FILE is not set")
        ends = expiry(video, ttl, least=self._token_ttl, now=datetime.now(UTC))
        return urls(video, self._cdn_base_url + self._keys.path(video, ends), ends)


def urls(video: Video, base: str, expires_at: datetime | None) -> PlaybackUrls:
    """Returns the URLs of the video's objects below `base`, whatever its policy."""
    publication = video.publication
    below = f"{base}/{hls_prefix(video.id)}"
    files = publication.downloads if publication else ()
    early = early_master_key(video.id, video.encode_number) if video.is_playable_early else ""
    return PlaybackUrls(
        playback=f"{base}/{master_key(video.id)}" if publication else "",
        poster=below + publication.poster if publication and publication.poster else "",
        storyboard=below + publication.storyboard if publication and publication.storyboard else "",
        preview=below + publication.preview if publication and publication.preview else "",
        playable=f"{base}/{early}" if early else "",
        downloads=[(each, below + each.path) for each in files if each.path],
        expires_at=expires_at,
    )
