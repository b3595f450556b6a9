"""Translates failed calls into the exceptions of this package."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from gostream_client import errors
from gostream_client.errors import (
    DeadlineExceededError,
    FieldViolation,
    GoStreamError,
    TokenInvalidError,
    UnreachableError,
)

STATUS_DETAILS_KEY = "grpc-status-details-bin"
REQUEST_ID_KEY = "x-request-id"
BY_REASON = {
    kind.REASON: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, GoStreamError) and kind.REASON
}
#: The classes of errors without a known reason.
_BY_CODE: dict[grpc.StatusCode, type[GoStreamError]] = {
    grpc.StatusCode.UNAVAILABLE: UnreachableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAUTHENTICATED: TokenInvalidError,
}


def from_rpc(error: Any, server: str, *, proxy: str = "") -> GoStreamError:
    """Returns the exception for a failed call, a grpc.RpcError of either kind of channel.

    `proxy` is the environment variable of the proxy in use.
    """
    trailers = trailers_of(error.trailing_metadata())
    details = _Details(trailers.get(STATUS_DETAILS_KEY))
    code = error.code()
    message = error.details() or "the server gave no explanation"
    if len(details.violations) > 1 and code is grpc.StatusCode.INVALID_ARGUMENT:
        message = "the request is wrong: " + "; ".join(
            f"{v.field}: {v.description}" for v in details.violations
        )
    elif code is grpc.StatusCode.UNAVAILABLE and not details.reason:
        message = _unreachable(server, error.details() or "") + _between(proxy)
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{server} did not answer in time" + _between(proxy)
    kind = BY_REASON.get(details.reason) or _BY_CODE.get(code, GoStreamError)
    return kind(
        message,
        reason=details.reason or code.name,
        code=code.name,
        request_id=details.request_id or str(trailers.get(REQUEST_ID_KEY) or ""),
        retry_after=details.retry_after,
        violations=details.violations,
        metadata=details.metadata,
    )


def trailers_of(metadata: Any) -> Mapping[str, str | bytes]:
    """Returns trailing metadata of either kind of channel by key."""
    return dict(metadata or ())


def _unreachable(server: str, cause: str) -> str:
    """Returns a message for a gRPC transport error, whose text changes between releases."""
    if "resolving" in cause or "DNS resolution" in cause:
        return f"the server name in {server} cannot be resolved"
    if "parsing HTTP/2" in cause or "http1.x" in cause:
        return f"the server at {server} does not speak gRPC; is this the port of the API?"
    return f"no GoStream server answers at {server}"


def _between(proxy: str) -> str:
    return f"; calls go through the proxy of {proxy} unless no_proxy names the server" if proxy else ""


class _Details:
    """The error details of a google.rpc.Status."""

    def __init__(self, packed: str | bytes | None) -> None:
        info, request, bad, retry, quota = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RequestInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
            error_details_pb2.QuotaFailure(),
        )
        with suppress(DecodeError):  # the status code and message are enough
            for detail in status_pb2.Status.FromString(packed if isinstance(packed, bytes) else b"").details:
                for known in (info, request, bad, retry, quota):
                    detail.Unpack(known)  # does nothing for another type
        self.reason = info.reason
        self.metadata = dict(info.metadata)
        self.request_id = request.request_id
        self.violations = (
            *(FieldViolation(v.field, v.description) for v in bad.field_violations),
            *(FieldViolation(v.subject, v.description) for v in quota.violations),
        )
        delay = retry.retry_delay
        self.retry_after = delay.seconds + delay.nanos / 1e9 if retry.HasField("retry_delay") else None
