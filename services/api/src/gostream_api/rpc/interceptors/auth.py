"""Finds the caller of every RPC and checks its scope, before anything else looks at the request."""

from collections.abc import Callable
from typing import Any, TypeAlias

from gostream_api.auth.authenticator import Authenticator, Credential, OpenDoor
from gostream_api.auth.mtls import spiffe_id_of
from gostream_api.auth.policy import OPEN, scope_of
from gostream_api.auth.tokens import is_identity
from gostream_api.principal import ACT_AS, Principal
from gostream_api.rpc.interceptors.base import (
    Asked,
    Behavior,
    BehaviorInterceptor,
    Context,
    FailedRequest,
    Handler,
)
from gostream_shared.domain.errors import ScopeMissingError, UnauthenticatedError

#: Names the owner for whom a service calls.
SUBJECT = "x-gostream-subject"
_AUTHORIZATION = "authorization"
_OURS = "/gostream."

#: Returns the credential of a call, and the owner for whom it is made, None = the caller's own.
CredentialsOf: TypeAlias = Callable[[Context], tuple[Credential, str | None]]


def no_credentials(context: Context) -> tuple[Credential, str | None]:
    """The credentials of AUTH_MODE=none."""
    return None, None


def token_of(context: Context) -> tuple[Credential, str | None]:
    """The value of `authorization`. Several values count as none."""
    credential, subject, values = None, None, 0
    for name, value in context.invocation_metadata() or ():
        if name == _AUTHORIZATION:
            credential, values = value, values + 1
        elif name == SUBJECT:
            subject = str(value)
    return (credential if values == 1 else None), subject


def certificate_of(context: Context) -> tuple[Credential, str | None]:
    """The SPIFFE id of the client's certificate."""
    return spiffe_id_of(context.auth_context()), token_of(context)[1]


class AuthInterceptor(BehaviorInterceptor):
    """Adds the caller to the requests of our services. Refuses callers that lack the scope of the method.

    A refused request continues as a FailedRequest, so that it is measured, logged and answered as any other.
    """

    def __init__(self, authenticator: Authenticator, credentials_of: CredentialsOf) -> None:
        super().__init__()
        self._authenticator = authenticator
        self._credentials_of = credentials_of

    @classmethod
    def absent(cls) -> "AuthInterceptor":
        """Returns the interceptor of AUTH_MODE=none."""
        return cls(OpenDoor(), no_credentials)

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        scope = scope_of(method)
        if scope == OPEN:
            return behavior
        now, later, credentials_of = self._authenticator.now, self._authenticator.later, self._credentials_of
        takes_caller = method.startswith(_OURS)

        async def authenticated(request: Any, context: Context) -> Any:
            try:
                credential, subject = credentials_of(context)
                caller = now(credential)
                if caller is None:
                    caller = await later(credential)
                if subject is not None:
                    caller = _acting(caller, subject)
                if scope not in caller.scopes:
                    raise ScopeMissingError(scope)  # noqa: TRY301 - a function would slow every hit
            except Exception as error:  # noqa: BLE001 - the inner interceptors handle it
                return await behavior(FailedRequest(error), context)
            return await behavior(Asked(caller, request) if takes_caller else request, context)

        return authenticated


def _acting(caller: Principal, subject: str) -> Principal:
    if ACT_AS not in caller.scopes:
        raise ScopeMissingError(ACT_AS)
    if not is_identity(subject):
        raise UnauthenticatedError(f"{SUBJECT} is not an id")
    return caller.acting_for(subject)
