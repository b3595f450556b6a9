"""The table that maps domain errors to gRPC statuses."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gostream.v1.error_reason_pb2 import ErrorReason
from gostream_shared.domain.companions.errors import (
    ResumeTokenExpiredError,
    ResumeTokenInvalidError,
    WebhookNotFoundError,
)
from gostream_shared.domain.errors import (
    BackendUnavailableError,
    EtagMismatchError,
    ExternalIdInUseError,
    GoStreamError,
    InvalidRequestError,
    PageTokenInvalidError,
    QueueFullError,
    QuotaExceededError,
    RateLimitedError,
    RequestIdReusedError,
    ScopeMissingError,
    ServerStoppingError,
    SourceUnreachableError,
    SourceUrlRefusedError,
    TooManyRequestsError,
    TooManyTracksError,
    TrackNotFoundError,
    UnauthenticatedError,
    UploadIncompleteError,
    VideoNotDeletedError,
    VideoNotFoundError,
    VideosNotFoundError,
    Violation,
    WrongStateError,
)

DOMAIN = "gostream"
INTERNAL_MESSAGE = "internal error; quote the request id"
#: Delay that a retrying client library uses instead of its back-off.
PUSHBACK = "grpc-retry-pushback-ms"
DETAILS = "grpc-status-details-bin"
#: How a caller can authenticate (RFC 6750, section 3). The fault of a token is not named.
CHALLENGE_NAME = "www-authenticate"
CHALLENGE = 'Bearer realm="gostream"'


@dataclass(frozen=True, slots=True)
class Failure:
    """The error that is sent to a client."""

    code: grpc.StatusCode
    reason: str
    message: str
    subject: dict[str, str]  # the ids concerned: ErrorInfo.metadata
    trailers: tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """The mapping of one error class.

    `retry_after` in seconds, unless the error has one; None = the same request cannot succeed.
    """

    code: grpc.StatusCode
    reason: str  # empty if the error has a `reason`
    details: Callable[[Any], Sequence[Message]] = lambda error: ()
    retry_after: float | None = None
    trailers: tuple[tuple[str, str], ...] = ()


def _bad_request(*violations: Violation) -> Sequence[Message]:
    fields = [
        error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
        for v in violations
    ]
    return [error_details_pb2.BadRequest(field_violations=fields)]


def _resource(error: VideoNotFoundError) -> Sequence[Message]:
    return [
        error_details_pb2.ResourceInfo(
            resource_type="gostream.v1.Video", resource_name=str(error.video_id), description=str(error)
        )
    ]


def _first_resource(error: VideosNotFoundError) -> Sequence[Message]:
    """Returns only the first video: a hundred would exceed a client's default metadata limit (8 KiB)."""
    return [
        error_details_pb2.ResourceInfo(
            resource_type="gostream.v1.Video", resource_name=str(error.video_ids[0]), description=str(error)
        )
    ]


def _precondition(error: WrongStateError) -> Sequence[Message]:
    description = str(error)
    if isinstance(error, UploadIncompleteError):
        description += f"; missing parts: {_numbers(error)}"
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=error.reason, subject=str(error.video_id), description=description
    )
    return [error_details_pb2.PreconditionFailure(violations=[violation])]


def _no_object(description: str) -> Sequence[Message]:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="SOURCE_UNREACHABLE", subject="source_key", description=description
    )
    return [error_details_pb2.PreconditionFailure(violations=[violation])]


def _numbers(error: UploadIncompleteError) -> str:
    return ",".join(map(str, error.parts))


def _track(error: TrackNotFoundError) -> Sequence[Message]:
    name = f"{error.video_id}/{error.track_id}"
    return [
        error_details_pb2.ResourceInfo(
            resource_type="gostream.v1.Track", resource_name=name, description=str(error)
        )
    ]


def _too_many(error: TooManyTracksError) -> Sequence[Message]:
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=f"video:{error.video_id}", description=str(error)
    )
    return [error_details_pb2.QuotaFailure(violations=[violation])]


def _quota(error: QuotaExceededError) -> Sequence[Message]:
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=f"owner:{error.owner}", description=str(error)
    )
    return [error_details_pb2.QuotaFailure(violations=[violation])]


_TABLE: dict[type[GoStreamError], _Row] = {
    InvalidRequestError: _Row(
        grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", lambda error: _bad_request(*error.violations)
    ),
    PageTokenInvalidError: _Row(
        grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        lambda error: _bad_request(Violation("page_token", str(error))),
    ),
    ResumeTokenInvalidError: _Row(
        grpc.StatusCode.INVALID_ARGUMENT,
        "FIELD_INVALID",
        lambda error: _bad_request(Violation("resume_token", str(error))),
    ),
    ResumeTokenExpiredError: _Row(grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED"),
    RequestIdReusedError: _Row(
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_ID_REUSED",
        lambda error: _bad_request(Violation("request_id", str(error))),
    ),
    SourceUrlRefusedError: _Row(
        grpc.StatusCode.INVALID_ARGUMENT,
        "SOURCE_URL_REFUSED",
        lambda error: _bad_request(Violation("source_url", error.reason)),
    ),
    SourceUnreachableError: _Row(
        grpc.StatusCode.FAILED_PRECONDITION, "SOURCE_UNREACHABLE", lambda error: _no_object(str(error))
    ),
    UnauthenticatedError: _Row(
        grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", trailers=((CHALLENGE_NAME, CHALLENGE),)
    ),
    ScopeMissingError: _Row(grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"),
    VideoNotFoundError: _Row(grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND", _resource),
    WebhookNotFoundError: _Row(grpc.StatusCode.NOT_FOUND, "WEBHOOK_NOT_FOUND"),
    TrackNotFoundError: _Row(grpc.StatusCode.NOT_FOUND, "TRACK_NOT_FOUND", _track),
    VideosNotFoundError: _Row(grpc.StatusCode.NOT_FOUND, "VIDEO_NOT_FOUND", _first_resource),
    WrongStateError: _Row(grpc.StatusCode.FAILED_PRECONDITION, "", _precondition),
    ExternalIdInUseError: _Row(grpc.StatusCode.ALREADY_EXISTS, "EXTERNAL_ID_IN_USE"),
    VideoNotDeletedError: _Row(grpc.StatusCode.ALREADY_EXISTS, "VIDEO_NOT_DELETED"),
    EtagMismatchError: _Row(grpc.StatusCode.ABORTED, "ETAG_MISMATCH"),
    QueueFullError: _Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", retry_after=30),
    RateLimitedError: _Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", retry_after=1),
    QuotaExceededError: _Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", _quota),
    TooManyTracksError: _Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", _too_many),
    TooManyRequestsError: _Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS", retry_after=1),
    BackendUnavailableError: _Row(grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE", retry_after=1),
    ServerStoppingError: _Row(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", retry_after=0.1),
}


def failure_of(error: Exception, *, request_id: str) -> Failure:
    """Returns the failure to send for `error`; an error outside the table becomes INTERNAL."""
    for kind in type(error).__mro__:
        if row := _TABLE.get(kind):
            return _known(row, error)
    info = error_details_pb2.RequestInfo(request_id=request_id)
    return _failure(grpc.StatusCode.INTERNAL, "INTERNAL", INTERNAL_MESSAGE, {}, [info])


def _known(row: _Row, error: Exception) -> Failure:
    reason = error.reason if isinstance(error, WrongStateError) else row.reason
    details, trailers = list(row.details(error)), list(row.trailers)
    retry_after = getattr(error, "retry_after", row.retry_after)
    if retry_after is not None:
        # Randomised, so that calls that failed at the same time are not retried at the same time.
        delay = Duration()
        delay.FromMilliseconds(int(retry_after * random.uniform(750, 1250)))  # noqa: S311
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        trailers.append((PUSHBACK, str(delay.ToMilliseconds())))
    return _failure(row.code, reason, str(error), _subject(error), details, *trailers)


def _subject(error: Exception) -> dict[str, str]:
    if isinstance(error, VideosNotFoundError):
        return {"video_ids": ",".join(map(str, error.video_ids))}
    if isinstance(error, ScopeMissingError):
        return {"scope": error.scope}
    if isinstance(error, UploadIncompleteError):
        return {"video_id": str(error.video_id), "parts": _numbers(error)}
    if isinstance(error, TrackNotFoundError):
        return {"video_id": str(error.video_id), "track_id": str(error.track_id)}
    if isinstance(error, TooManyTracksError):
        return {"video_id": str(error.video_id), "quota": "tracks", "limit": str(error.limit)}
    if isinstance(error, QuotaExceededError):
        return {"quota": error.quota, "limit": str(error.limit)}
    video_id = getattr(error, "video_id", None)
    return {"video_id": str(video_id)} if video_id is not None else {}


def _failure(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    metadata: dict[str, str],
    details: Sequence[Message],
    *trailers: tuple[str, str],
) -> Failure:
    ErrorReason.Value(f"ERROR_REASON_{reason}")  # raises ValueError for an unknown reason
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in (info, *details):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return Failure(code, reason, message, metadata, ((DETAILS, status.SerializeToString()), *trailers))
