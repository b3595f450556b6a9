"""Admits callers to a method, for every transport: finds the principal, and checks its scope."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gostream_api.auth.authenticator import Authenticator, Credential
from gostream_api.auth.policy import scope_of
from gostream_api.auth.tokens import is_identity
from gostream_api.principal import ACT_AS, ANONYMOUS, PLAY, READ, Principal
from gostream_shared.domain.errors import ScopeMissingError, UnauthenticatedError

AUTHORIZATION: Final = "authorization"
#: Names the owner for whom a service calls.
SUBJECT: Final = "x-gostream-subject"
#: The names that show something, as text and as bytes; True for the token's.
_NAMES: Final[Mapping[str | bytes, bool]] = {
    AUTHORIZATION: True,
    AUTHORIZATION.encode(): True,
    SUBJECT: False,
    SUBJECT.encode(): False,
}
_WRONG: Final = ""


class Shown(NamedTuple):
    """What a caller shows: its token, the SPIFFE id of its certificate, and the owner for whom it calls."""

    token: Credential = None
    #: None = the caller itself.
    subject: str | None = None
    certificate: bytes | None = None


NOTHING: Final = Shown()


def shown_in(headers: Iterable[tuple[str | bytes, str | bytes]], certificate: bytes | None = None) -> Shown:
    """Returns what headers or metadata show, besides the certificate of their connection.

    Several values of `authorization` count as a wrong token.
    """
    token: Credential = None
    subject = None
    for name, value in headers:
        is_token = _NAMES.get(name)  # one look-up is cheaper than comparing text with bytes
        if is_token is None:
            continue
        if is_token:
            token = value if token is None else _WRONG
        else:
            subject = value if isinstance(value, str) else value.decode("latin-1")
    return Shown(token, subject, certificate)


class Admission:
    """The check of one method, given by its full name."""

    def __init__(self, authenticator: Authenticator, method: str) -> None:
        self._now = authenticator.now
        self._later = authenticator.later
        self._scope = scope_of(method)
        self._or_scope = READ if self._scope == PLAY else self._scope

    def now(self, shown: Shown) -> Principal | None:
        """Returns the caller if it is known without waiting.

        Raises ScopeMissingError, and UnauthenticatedError for a wrong subject.
        """
        caller = self._now(shown.token, shown.certificate)
        return None if caller is None else self._admitted(caller, shown.subject)

    async def later(self, shown: Shown) -> Principal:
        """Like `now`, but waits for an unknown caller. Raises also BackendUnavailableError."""
        token, certificate = shown.token, shown.certificate
        caller = self._now(token, certificate) or await self._later(token, certificate)
        return self._admitted(caller, shown.subject)

    def _admitted(self, caller: Principal, subject: str | None) -> Principal:
        if subject is not None and caller is not ANONYMOUS:
            if ACT_AS not in caller.scopes:
                raise ScopeMissingError(ACT_AS, principal=caller.id)
            if not is_identity(subject):
                raise UnauthenticatedError(f"{SUBJECT} is not an id")
            caller = caller.acting_for(subject)
        if self._scope not in caller.scopes and self._or_scope not in caller.scopes:
            raise ScopeMissingError(self._scope, principal=caller.id)
        return caller
