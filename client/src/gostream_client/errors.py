"""The exceptions of the client, all below GoStreamError: one for each reason of the API, and those of the
client.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from gostream.v1.video_pb2 import Video


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """An invalid field of a request, or the subject of a quota, with the reason."""

    field: str
    description: str


class GoStreamError(Exception):
    """Base class of all errors, and the class of errors with a reason that this release does not know.

    `message`: for people. `reason`: the ErrorReason without its prefix; the name of the gRPC code if the API
    gave none. `code`: the name of the gRPC code, empty if no call failed. `request_id`: identifies the call
    in the server's log. `retry_after`: seconds after which the same call may succeed; None if the server gave
    no delay. `violations`: every invalid field or exceeded quota. `metadata`: the ids that the error is
    about, by the names in the API.
    """

    #: The ErrorReason of the class, without its prefix; empty for classes of the client.
    REASON: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        violations: tuple[FieldViolation, ...] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.REASON
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.violations = violations
        self.metadata = dict(metadata or {})

    @property
    def video_id(self) -> str:
        """The id of the video that the error is about; empty if the server named none."""
        return self.metadata.get("video_id", "")

    def __str__(self) -> str:
        facts = [self.reason, f"request id {self.request_id}" if self.request_id else ""]
        details = ", ".join(fact for fact in facts if fact)
        return f"{self.message} ({details})" if details else self.message


# Errors of the client.


class InvalidInputError(GoStreamError):
    """An argument is invalid; no request was sent."""


class PlaintextTokenError(InvalidInputError):
    """The token would reach another machine without TLS."""


class UnreachableError(GoStreamError):
    """No server answered, or the server cannot serve at the moment. The same call may succeed later."""


class DeadlineExceededError(UnreachableError):
    """The call, the wait or the token took longer than allowed. A write may have succeeded nevertheless."""


class UploadError(GoStreamError):
    """The object store refused the upload, or the file changed during it."""


class UrlExpiredError(UploadError):
    """The upload URL expired before the store accepted the upload."""


class ProcessingFailedError(GoStreamError):
    """The processing of a video failed or was cancelled. `reason`: the failure code, or CANCELLED.

    `video`: its last state; None in an exception that the caller made.
    """

    video: "Video | None" = None


# One class for each ErrorReason; a test compares them with the contract.


class FieldInvalidError(GoStreamError):
    """Fields of the request are invalid; `violations` has all of them."""

    REASON = "FIELD_INVALID"


class PageTokenInvalidError(GoStreamError):
    """The page token is invalid, or belongs to another filter."""

    REASON = "PAGE_TOKEN_INVALID"


class RequestIdReusedError(GoStreamError):
    """The request_id was used before, with a different request or for a deleted video."""

    REASON = "REQUEST_ID_REUSED"


class ResumeTokenExpiredError(GoStreamError):
    """The server no longer has the events after the token. Begin without a token."""

    REASON = "RESUME_TOKEN_EXPIRED"


class VideoNotFoundError(GoStreamError):
    """The video does not exist, or belongs to another owner."""

    REASON = "VIDEO_NOT_FOUND"


class TrackNotFoundError(GoStreamError):
    """The video has no added track with this id."""

    REASON = "TRACK_NOT_FOUND"


class WebhookNotFoundError(GoStreamError):
    """The webhook does not exist, or belongs to another owner."""

    REASON = "WEBHOOK_NOT_FOUND"


class AlreadyProcessingError(GoStreamError):
    """The video is being processed with other options."""

    REASON = "ALREADY_PROCESSING"


class SourceNotUploadedError(GoStreamError):
    """The source is not uploaded yet."""

    REASON = "SOURCE_NOT_UPLOADED"


class SourceTooLargeError(GoStreamError):
    """The uploaded source is larger than the server accepts."""

    REASON = "SOURCE_TOO_LARGE"


class NotProcessingError(GoStreamError):
    """The video is not being processed."""

    REASON = "NOT_PROCESSING"


class EtagMismatchError(GoStreamError):
    """The video changed since the etag was read."""

    REASON = "ETAG_MISMATCH"


class QueueFullError(GoStreamError):
    """Too many encodes are waiting."""

    REASON = "QUEUE_FULL"


class TooManyRequestsError(GoStreamError):
    """Too many requests at once."""

    REASON = "TOO_MANY_REQUESTS"


class BackendUnavailableError(UnreachableError):
    """The database or the object store does not answer."""

    REASON = "BACKEND_UNAVAILABLE"


class TokenInvalidError(GoStreamError):
    """The token is missing or invalid."""

    REASON = "TOKEN_INVALID"


class InternalError(GoStreamError):
    """An error of the server; report it with the request id."""

    REASON = "INTERNAL"


class VersionNotReachedError(GoStreamError):
    """min_version is above the current version of the video."""

    REASON = "VERSION_NOT_REACHED"


class ServerStoppingError(UnreachableError):
    """The server is stopping; another replica can answer."""

    REASON = "SERVER_STOPPING"


class ScopeMissingError(GoStreamError):
    """The token lacks the scope in `metadata["scope"]`."""

    REASON = "SCOPE_MISSING"


class RateLimitedError(GoStreamError):
    """The owner calls too often; `retry_after` has the delay."""

    REASON = "RATE_LIMITED"


class QuotaExceededError(GoStreamError):
    """The owner has reached a quota, which `violations` names. A repetition does not help."""

    REASON = "QUOTA_EXCEEDED"


class UploadClosedError(GoStreamError):
    """The video no longer accepts an upload, or has no upload session of that generation."""

    REASON = "UPLOAD_CLOSED"


class UploadIncompleteError(GoStreamError):
    """Parts are missing; `metadata["parts"]` has the numbers of the first 100."""

    REASON = "UPLOAD_INCOMPLETE"


class UploadExpiredError(GoStreamError):
    """The upload session has expired."""

    REASON = "UPLOAD_EXPIRED"


class SourceUrlRefusedError(GoStreamError):
    """The server does not fetch from this source_url; `violations` has the reason."""

    REASON = "SOURCE_URL_REFUSED"


class SourceUnreachableError(GoStreamError):
    """The object of source_key does not exist."""

    REASON = "SOURCE_UNREACHABLE"


class ExternalIdInUseError(GoStreamError):
    """Another video of the owner has this external_id."""

    REASON = "EXTERNAL_ID_IN_USE"


class VideoNotDeletedError(GoStreamError):
    """UndeleteVideo was called for a video that is not deleted."""

    REASON = "VIDEO_NOT_DELETED"
