"""Who calls, what the caller may do, and whose videos the caller sees."""

import enum
import math
from dataclasses import dataclass, field, replace
from typing import Final

from gostream_shared.domain.errors import InvalidRequestError, OthersVideoError, Violation
from gostream_shared.domain.video import Video

# Scopes are plain text, because their hashes are cached and those of enum members are not.
READ: Final = "videos:read"
WRITE: Final = "videos:write"
#: Allows GetPlaybackInfo alone, which READ allows too.
PLAY: Final = "videos:play"
#: Extends the other scopes to the videos of every owner.
ADMIN: Final = "videos:admin"
#: Allows a service to call for another owner.
ACT_AS: Final = "videos:act-as"
SCOPES: Final = frozenset({READ, WRITE, ADMIN, PLAY, ACT_AS})

#: Longest id of a principal, because it is stored as the owner of videos.
MAX_ID: Final = 128


class Kind(enum.StrEnum):
    ANONYMOUS = "anonymous"  # without authentication
    USER = "user"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller of a use case."""

    kind: Kind
    #: `issuer:subject` of a token, or a SPIFFE id; empty for ANONYMOUS.
    id: str
    #: The owner of the videos that this caller creates.
    owner: str
    scopes: frozenset[str]
    #: Unix time at which the credential expires.
    expires_at: float = math.inf
    #: The owner whose videos this caller sees; None = every owner.
    sees: str | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sees", None if ADMIN in self.scopes else self.owner)

    @property
    def issuer(self) -> str:
        """The alias of the token's issuer, or the trust domain of a SPIFFE id; empty for ANONYMOUS."""
        if self.id.startswith("spiffe://"):
            return "/".join(self.id.split("/", 3)[:3])
        return self.id.partition(":")[0]

    def acting_for(self, owner: str) -> "Principal":
        """Returns this caller with another owner. Without ADMIN it sees only the videos of that owner."""
        return replace(self, owner=owner)

    def require_sight(self, video: Video) -> None:
        """Raise OthersVideoError if this caller does not see the video."""
        if self.sees is not None and video.user_id != self.sees:
            raise OthersVideoError(video.id, principal=self.id)

    def owner_of_new(self, given: str) -> str:
        """Returns the owner of a new video, from the `user_id` of a request. Raises InvalidRequestError."""
        if self.kind is Kind.ANONYMOUS:
            return given
        return given or self.owner if self.sees is None else self._own(given)

    def owner_listed(self, given: str | None) -> str | None:
        """Returns the owner whose videos are listed, from the `user_id` of a request; None = every owner.

        Raises InvalidRequestError.
        """
        return given if self.sees is None else self._own(given or "")

    def _own(self, given: str) -> str:
        if given not in ("", self.owner):
            raise InvalidRequestError(Violation("user_id", "must be empty or the caller's own id"))
        return self.owner


#: The caller of a server without authentication.
ANONYMOUS: Final = Principal(kind=Kind.ANONYMOUS, id="", owner="", scopes=SCOPES)
