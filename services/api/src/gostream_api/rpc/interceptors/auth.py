"""Finds the caller of every RPC and checks its scope, before anything else examines the request."""

from collections.abc import Callable
from typing import Any, TypeAlias

from gostream_api.auth.authenticator import Authenticator, OpenDoor
from gostream_api.auth.mtls import spiffe_id_of
from gostream_api.auth.policy import OPEN, scope_of
from gostream_api.rpc.admission import NOTHING, Admission, Shown, shown_in
from gostream_api.rpc.interceptors.base import (
    Asked,
    Behavior,
    BehaviorInterceptor,
    Context,
    FailedRequest,
    Handler,
    Metadata,
)
from gostream_api.rpc.interceptors.telemetry import request_id_among, traceparent_among
from gostream_shared.observability.tracing import spans

_OURS = "/gostream."

#: Returns what the caller of a call with this metadata shows.
ShownBy: TypeAlias = Callable[[Context, Metadata], Shown]


def shows_nothing(context: Context, metadata: Metadata) -> Shown:
    """With AUTH_MODE=none no one shows anything."""
    return NOTHING


def shows_token(context: Context, metadata: Metadata) -> Shown:
    """The token in the metadata."""
    return shown_in(metadata)


def shows_certificate(context: Context, metadata: Metadata) -> Shown:
    """The SPIFFE id of the client's certificate, and the token in the metadata."""
    return shown_in(metadata, spiffe_id_of(context.auth_context()))


class AuthInterceptor(BehaviorInterceptor):
    """Adds the caller to the requests of our services. Refuses callers that lack the scope of the method.

    A refused request continues as a FailedRequest, so that it is measured, logged and answered as any other.
    """

    def __init__(self, authenticator: Authenticator, shown_by: ShownBy) -> None:
        super().__init__()
        self._authenticator = authenticator
        self._shown_by = shown_by

    @classmethod
    def absent(cls) -> "AuthInterceptor":
        """Returns the interceptor of AUTH_MODE=none."""
        return cls(OpenDoor(), shows_nothing)

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        if scope_of(method) == OPEN:
            return behavior
        admission, shown_by = Admission(self._authenticator, method), self._shown_by
        takes_caller = method.startswith(_OURS)

        async def authenticated(request: Any, context: Context) -> Any:
            metadata = context.invocation_metadata() or ()  # decoded at each call of this function
            try:
                shown = shown_by(context, metadata)
                caller = admission.now(shown) or await admission.later(shown)
            except Exception as error:  # noqa: BLE001 - the inner interceptors handle it
                return await behavior(FailedRequest(error), context)
            if takes_caller:
                parent = traceparent_among(metadata) if spans.are_on() else None
                request = Asked(caller, request, request_id_among(metadata), parent)
            return await behavior(request, context)

        return authenticated
