"""The errors of the domain.

Adapters translate driver errors into these; the API maps these to gRPC statuses in one table
(gostream_api.rpc.errors). A message is written for people and may reach a client: it never quotes a driver.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID


class GoStreamError(Exception):
    """Base class of all GoStream errors."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request."""

    field: str
    description: str


class InvalidRequestError(GoStreamError):
    """Fields of a request are invalid; `violations` lists all of them."""

    def __init__(self, *violations: Violation) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = violations


class SourceUrlRefusedError(GoStreamError):
    """This deployment does not fetch from the URL. `reason` begins with "must" and quotes nothing of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"source_url {reason}")
        self.reason = reason


class SourceUnreachableError(GoStreamError):
    """The object of a source_key does not exist. The message does not quote the key."""

    def __init__(self) -> None:
        super().__init__("the object of source_key does not exist")


class UnauthenticatedError(GoStreamError):
    """The caller's credential is missing, invalid or expired.

    The message is always the same. `cause` is for operators and never reaches a client.
    """

    def __init__(self, cause: str) -> None:
        super().__init__("the call needs a valid token")
        self.cause = cause


class ScopeMissingError(GoStreamError):
    """The caller is known, but lacks the scope that the method requires. `principal` is for operators."""

    def __init__(self, scope: str, *, principal: str = "") -> None:
        super().__init__(f"the token lacks the scope {scope}")
        self.scope = scope
        self.principal = principal


class PageTokenInvalidError(GoStreamError):
    """The page token was not issued by GoStream, or belongs to another filter."""

    def __init__(self) -> None:
        super().__init__("the page token is not valid for this request")


class RequestIdReusedError(GoStreamError):
    """The request_id was used before, with a different request or for a deleted video."""

    def __init__(self, request_id: str, *, deleted: bool = False) -> None:
        how = "for a deleted video" if deleted else "with a different request"
        super().__init__(f"the request_id was used before {how}")
        self.request_id = request_id


class VideoNotFoundError(GoStreamError):
    """The video does not exist. `version` is the version of its tombstone, 0 if it never existed."""

    def __init__(self, video_id: UUID, *, version: int = 0) -> None:
        super().__init__(f"video {video_id} was not found")
        self.video_id = video_id
        self.version = version


class OthersVideoError(VideoNotFoundError):
    """The video belongs to another owner, so it does not exist for the caller.

    A client sees the same as for VideoNotFoundError. `principal` is for operators.
    """

    def __init__(self, video_id: UUID, *, version: int = 0, principal: str = "") -> None:
        super().__init__(video_id, version=version)
        self.principal = principal


class TrackNotFoundError(GoStreamError):
    """The video has no added track with this id."""

    def __init__(self, video_id: UUID, track_id: UUID) -> None:
        super().__init__(f"video {video_id} has no added track {track_id}")
        self.video_id = video_id
        self.track_id = track_id


class VideosNotFoundError(GoStreamError):
    """Some of the requested videos do not exist; `video_ids` lists them."""

    def __init__(self, *video_ids: UUID) -> None:
        super().__init__(f"{len(video_ids)} of the videos were not found, the first is {video_ids[0]}")
        self.video_ids = video_ids


class WrongStateError(GoStreamError):
    """The state of the video does not allow the operation. Subclasses set `reason` to an ErrorReason name."""

    reason: ClassVar[str]

    def __init__(self, video_id: UUID, message: str) -> None:
        super().__init__(message)
        self.video_id = video_id


class AlreadyProcessingError(WrongStateError):
    reason = "ALREADY_PROCESSING"

    def __init__(self, video_id: UUID) -> None:
        super().__init__(video_id, f"video {video_id} is being processed with other options")


class NotProcessingError(WrongStateError):
    reason = "NOT_PROCESSING"

    def __init__(self, video_id: UUID) -> None:
        super().__init__(video_id, f"video {video_id} is not being processed")


class SourceNotUploadedError(WrongStateError):
    reason = "SOURCE_NOT_UPLOADED"

    def __init__(self, video_id: UUID, what: str = "source") -> None:
        super().__init__(video_id, f"no {what} was uploaded for video {video_id} yet")


class UploadClosedError(WrongStateError):
    reason = "UPLOAD_CLOSED"

    def __init__(self, video_id: UUID, why: str = "no longer accepts an upload") -> None:
        super().__init__(video_id, f"video {video_id} {why}")


class UploadExpiredError(WrongStateError):
    reason = "UPLOAD_EXPIRED"

    def __init__(self, video_id: UUID) -> None:
        super().__init__(video_id, f"the upload session of video {video_id} has expired; open the next one")


class UploadIncompleteError(WrongStateError):
    """Parts are missing or have a wrong size; `parts` has the numbers of the first ones."""

    reason = "UPLOAD_INCOMPLETE"
    MOST_NAMED: ClassVar[int] = 100

    def __init__(self, video_id: UUID, missing: Sequence[int]) -> None:
        super().__init__(
            video_id, f"{len(missing)} parts of video {video_id} are missing, the first is {missing[0]}"
        )
        self.parts = tuple(missing[: self.MOST_NAMED])


class SourceTooLargeError(WrongStateError):
    reason = "SOURCE_TOO_LARGE"

    def __init__(self, video_id: UUID, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(video_id, f"the upload has {size_bytes} bytes; at most {limit_bytes} are accepted")


class VersionNotReachedError(WrongStateError):
    reason = "VERSION_NOT_REACHED"

    def __init__(self, video_id: UUID, *, version: int, min_version: int) -> None:
        super().__init__(video_id, f"video {video_id} is at version {version}, below {min_version}")


class ExternalIdInUseError(GoStreamError):
    """Another video of the owner has this external_id."""

    def __init__(self) -> None:
        super().__init__("another video of this owner has this external_id")


class VideoNotDeletedError(GoStreamError):
    """The video exists, so it cannot be undeleted."""

    def __init__(self, video_id: UUID) -> None:
        super().__init__(f"video {video_id} is not deleted")
        self.video_id = video_id


class EtagMismatchError(GoStreamError):
    """The video changed since the etag was read."""

    def __init__(self, video_id: UUID) -> None:
        super().__init__(f"video {video_id} changed since its etag was read")
        self.video_id = video_id


class QueueFullError(GoStreamError):
    """Too many encodes are waiting, in total or of one owner."""

    def __init__(self, *, of_owner: bool = False) -> None:
        whose = "encodes of this owner" if of_owner else "encodes"
        super().__init__(f"too many {whose} are waiting; try again later")


class RateLimitedError(GoStreamError):
    """The owner calls too often. `retry_after` is the time in seconds until a call can succeed."""

    def __init__(self, calls: str, *, retry_after: float) -> None:
        super().__init__(f"this owner has made too many {calls}; try again later")
        self.retry_after = retry_after


class QuotaExceededError(GoStreamError):
    """The write would exceed a quota of the owner. Waiting does not help.

    `quota` is a name of domain.quotas.Quota, `limit` its value for this owner.
    """

    def __init__(self, owner: str, quota: str, limit: int) -> None:
        super().__init__(f"this owner may have at most {limit} {_QUOTAS.get(quota, quota)}")
        self.owner = owner
        self.quota = quota
        self.limit = limit


class TooManyTracksError(GoStreamError):
    """The video has as many subtitles as it may have."""

    def __init__(self, video_id: UUID, limit: int) -> None:
        super().__init__(f"a video may have at most {limit} subtitles")
        self.video_id = video_id
        self.limit = limit


_QUOTAS = {"stored_bytes": "stored bytes", "encodes": "encodes at once"}


class BackendUnavailableError(GoStreamError):
    """The database or the object store did not answer; a later retry can succeed.

    `cause` is for operators. It may quote a driver and never reaches a client.
    """

    def __init__(self, backend: str, cause: str = "") -> None:
        super().__init__(f"the {backend} does not answer; try again later")
        self.backend = backend
        self.cause = cause


class BackendRefusedError(BackendUnavailableError):
    """A backend rejects this service as configured. Waiting does not help, so the service does not start."""


class MisconfiguredError(GoStreamError):
    """A configured resource cannot be used. The service does not start and prints this message."""


class FenceLostError(GoStreamError):
    """Another attempt owns the encode, or it was cancelled or deleted. This attempt must stop."""

    def __init__(self, video_id: UUID, number: int, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of encode {number} of video {video_id} has lost its fence")


class TooManyRequestsError(GoStreamError):
    """This replica is processing its maximum number of calls, in total or for one client."""

    def __init__(self, message: str = "too many requests at once; try again later") -> None:
        super().__init__(message)


class ServerStoppingError(GoStreamError):
    """This replica is stopping; another replica can answer."""

    def __init__(self) -> None:
        super().__init__("this server is stopping; try again")
