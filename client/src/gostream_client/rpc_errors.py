"""Translates failed calls into the errors of this package."""

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2

from gostream_client.errors import ClientError, UnreachableError

STATUS_DETAILS_KEY = "grpc-status-details-bin"
REQUEST_ID_KEY = "x-request-id"


@dataclass(frozen=True, slots=True)
class _Details:
    """The error details of a google.rpc.Status."""

    reason: str = ""
    request_id: str = ""
    violations: tuple[str, ...] = ()
    retry_after: float | None = None


def from_rpc(error: grpc.aio.AioRpcError, server: str, *, proxy: str = "") -> ClientError:
    """Translate a failed call: UnreachableError if it reached no server, otherwise ClientError.

    `proxy` is the environment variable of the proxy in use.
    """
    trailers = dict(error.trailing_metadata() or ())
    details = _details(trailers.get(STATUS_DETAILS_KEY))
    request_id = details.request_id or str(trailers.get(REQUEST_ID_KEY) or "")
    code = error.code()
    kind = ClientError
    message = error.details() or "the server gave no explanation"
    if len(details.violations) > 1:
        message = "the request is wrong: " + "; ".join(details.violations)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        kind = UnreachableError
    elif code is grpc.StatusCode.UNAVAILABLE:
        kind = UnreachableError
        if not details.reason:
            message = _unreachable(server, error.details() or "") + _between(proxy)
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        kind = UnreachableError
        message = f"{server} did not answer in time; --timeout allows more" + _between(proxy)
    return kind(
        message,
        reason=details.reason or code.name,
        request_id=request_id,
        retry_after=details.retry_after,
    )


def _unreachable(server: str, cause: str) -> str:
    """Returns a message for a gRPC transport error, whose text changes between releases."""
    if "resolving" in cause or "DNS resolution" in cause:
        return f"the server name in {server} cannot be resolved"
    if "parsing HTTP/2" in cause or "http1.x" in cause:
        return f"the server at {server} does not speak gRPC; is this the port of the API?"
    return f"no GoStream server answers at {server}; set --server or GOSTREAM_API_ADDR"


def _between(proxy: str) -> str:
    return f"; calls go through the proxy of {proxy} unless no_proxy names the server" if proxy else ""


def _details(packed: str | bytes | None) -> _Details:
    if not isinstance(packed, bytes):
        return _Details()
    try:
        status = status_pb2.Status.FromString(packed)
    except ValueError:  # protobuf's DecodeError: the status code and message are enough
        return _Details()
    info, request, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RequestInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        for known in (info, request, bad, retry):
            detail.Unpack(known)  # does nothing for another type
    violations = tuple(f"{v.field}: {v.description}" for v in bad.field_violations)
    retry_after = retry.retry_delay.ToMilliseconds() / 1000 if retry.HasField("retry_delay") else None
    return _Details(info.reason, request.request_id, violations, retry_after)
