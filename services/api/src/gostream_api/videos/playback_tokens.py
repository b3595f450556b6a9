"""Signed playback: the keys, and the paths that edges accept until they expire.

A token covers one video and one playback epoch, so all URLs of the video share it. nginx verifies it with
`secure_link` (deploy/nginx), from the same file of keys.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gostream_shared.domain.errors import MisconfiguredError
from gostream_shared.domain.video import Video

#: Tokens end at a multiple of this, so that URLs repeat and the caches of clients work.
_STEP = timedelta(minutes=15)
_LINE = re.compile(r'(?:([ab]) "([0-9A-Za-z_-]{43})"|signing ([ab]));')
_WRONG = (
    'PLAYBACK_KEYS must have the lines `a "KEY";` or `b "KEY";` or both, and `signing a;` or `signing b;`; '
    "KEY is 32 random bytes as base64url, 43 characters"
)


@dataclass(frozen=True, slots=True)
class PlaybackKeys:
    """Up to two keys, of which `signing` signs. Edges accept tokens of both."""

    signing: str
    keys: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "PlaybackKeys | None":
        """Returns the keys of the file, None if it has none. Raises MisconfiguredError."""
        lines = [line.strip() for line in text.splitlines()]
        matches = [_LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
        if not matches:
            return None
        found = [match for match in matches if match]
        keys = {match[1]: match[2] for match in found if match[1]}
        signing = [match[3] for match in found if match[3]]
        if len(found) != len(matches) or len(keys) + len(signing) != len(found):
            raise MisconfiguredError(_WRONG)
        if len(signing) != 1 or signing[0] not in keys:
            raise MisconfiguredError(_WRONG)
        return cls(signing[0], keys)

    def path(self, video: Video, expires_at: datetime, *, kid: str = "") -> str:
        """Returns the path that precedes `/hls/{id}/…`, signed by the signing key or by `kid`."""
        return self.path_of(str(video.id), video.playback_epoch, expires_at, kid=kid)

    def path_of(self, video_id: str, epoch: int, expires_at: datetime, *, kid: str = "") -> str:
        """Returns the path for an id and an epoch."""
        kid = kid or self.signing
        key, seconds = self.keys[kid], int(expires_at.timestamp())
        signed = f"{key}|{kid}|{seconds}|{epoch}|{video_id}|{key}"
        digest = hashlib.md5(signed.encode(), usedforsecurity=False).digest()  # what secure_link verifies
        signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return f"/s/{kid}.{seconds}.{epoch}.{signature}"


def expiry(video: Video, ttl: timedelta | None, *, least: timedelta, now: datetime) -> datetime:
    """Returns when a token for `video` ends: after `ttl`, or late enough to watch it with pauses."""
    if ttl is None:
        duration = video.publication.duration if video.publication else timedelta(0)
        ttl = max(least, 2 * duration + timedelta(hours=1))
    steps = -((datetime.fromtimestamp(0, UTC) - now - ttl) // _STEP)
    return datetime.fromtimestamp(0, UTC) + steps * _STEP
