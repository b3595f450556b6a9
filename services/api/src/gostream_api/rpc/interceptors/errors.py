"""Maps domain errors to statuses, and all other exceptions to INTERNAL with a fixed message."""

from typing import Any

import structlog
from google.protobuf.message import DecodeError
from grpc import aio

from gostream_api.rpc.errors import Failure, failure_of
from gostream_api.rpc.interceptors.base import Behavior, BehaviorInterceptor, Context, FailedRequest, Handler
from gostream_api.rpc.interceptors.clients import ClientOf, peer_address
from gostream_api.rpc.interceptors.telemetry import add_trailers, request_id_of
from gostream_api.rpc.refusals import REFUSALS
from gostream_shared.domain.errors import (
    GoStreamError,
    InvalidRequestError,
    UnauthenticatedError,
    Violation,
)

NOT_A_MESSAGE = Violation("", "the request is not a message of the type this method takes")

_log = structlog.stdlib.get_logger("gostream.rpc")


class ErrorInterceptor(BehaviorInterceptor):
    """Catches every exception, because gRPC would send its text to the client."""

    def __init__(self, client_of: ClientOf = peer_address) -> None:
        super().__init__()
        self._client_of = client_of

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        async def guarded(request: Any, context: Context) -> Any:
            try:
                if isinstance(request, FailedRequest):
                    raise request.take_error()  # noqa: TRY301 - as if the handler had raised it
                return await behavior(request, context)
            except aio.BaseError:
                raise  # the call was already aborted, or the client has left
            except Exception as error:  # noqa: BLE001 - the last handler of unexpected errors
                await self._abort(context, error)

        return guarded

    async def _abort(self, context: Context, error: Exception) -> None:
        failure = logged_failure(error, request_id=request_id_of(context), peer=self._client_of(context))
        add_trailers(context, *failure.trailers)
        await context.abort(failure.code, failure.message, tuple(context.trailing_metadata()))


def logged_failure(error: Exception, *, request_id: str, peer: str = "") -> Failure:
    """Returns what a client sees. Logs an unexpected error and, sampled, a refusal.

    Binds the reason to the log of the call.
    """
    if isinstance(error, DecodeError):
        error = InvalidRequestError(NOT_A_MESSAGE)
    elif not isinstance(error, GoStreamError):
        _log.error("unexpected error", exc_info=error)
    elif isinstance(error, UnauthenticatedError):
        structlog.contextvars.bind_contextvars(cause=error.cause)
    failure = failure_of(error, request_id=request_id)
    structlog.contextvars.bind_contextvars(reason=failure.reason, **failure.subject)
    REFUSALS.note(error, peer=peer)
    return failure
