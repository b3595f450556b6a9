"""Admits callers to a method, for every transport: finds the principal, and checks its scope."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gostream_api.auth.authenticator import Authenticator, Credential
from gostream_api.auth.policy import scope_of
from gostream_api.auth.tokens import is_identity
from gostream_api.principal import ACT_AS, ANONYMOUS, PLAY, READ, Principal
from gostream_shared.domain.errors import ScopeMissingError, UnauthenticatedError

AUTHORIZATION: Final = "authorization"
#: Names the owner for whom a service calls.
SUBJECT: Final = "x-gostream-subject"
_AUTHORIZATION, _SUBJECT = AUTHORIZATION.encode(), SUBJECT.encode()


class Shown(NamedTuple):
    """What a caller shows: its credential, and the owner for whom it calls, None = itself."""

    credential: Credential = None
    subject: str | None = None


NOTHING: Final = Shown()


def shown_in(headers: Iterable[tuple[str | bytes, str | bytes]]) -> Shown:
    """Returns what headers or metadata show. Several values of `authorization` count as none."""
    credential, subject, values = None, None, 0
    for name, value in headers:
        if name in (AUTHORIZATION, _AUTHORIZATION):
            credential, values = value, values + 1
        elif name in (SUBJECT, _SUBJECT):
            subject = value if isinstance(value, str) else value.decode("latin-1")
    return Shown(credential if values == 1 else None, subject)


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
        caller = self._now(shown.credential)
        return None if caller is None else self._admitted(caller, shown.subject)

    async def later(self, shown: Shown) -> Principal:
        """Like `now`, but waits for an unknown caller. Raises also BackendUnavailableError."""
        caller = self._now(shown.credential) or await self._later(shown.credential)
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
