"""From the credential of a call to its principal. Every transport uses these classes."""

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gostream_api.auth.issuers import Issuer
from gostream_api.auth.jwks import IssuerKeys
from gostream_api.auth.tokens import TokenRules, read_unverified, verified
from gostream_api.principal import ANONYMOUS, Principal
from gostream_shared.domain.errors import UnauthenticatedError

#: What a caller shows: the value of the header `authorization`, or the SPIFFE id of its certificate.
Credential = str | bytes | None

#: Longest time in seconds for which a verified token is not verified again.
_MAX_MEMORY: Final = 300.0
_SCHEME = "bearer "


class Authenticator(Protocol):
    """Finds the principal of a call."""

    def now(self, credential: Credential) -> Principal | None:
        """Returns the principal if it is known without waiting."""
        ...

    async def later(self, credential: Credential) -> Principal:
        """Returns the principal. Raises UnauthenticatedError and BackendUnavailableError."""
        ...


class OpenDoor:
    """Everybody is ANONYMOUS."""

    def now(self, credential: Credential) -> Principal | None:
        return ANONYMOUS

    async def later(self, credential: Credential) -> Principal:
        return ANONYMOUS


class TokenAuthenticator:
    """Verifies tokens of the given issuers, and remembers up to `capacity` verified ones.

    `forget` drops them all. Call it when a key disappears.
    """

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        rules: TokenRules,
        *,
        capacity: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = issuers
        self._rules = rules
        self._capacity = capacity
        self._clock = clock
        #: Keys by the name of the issuer; add them before the first call.
        self.keys: dict[str, IssuerKeys] = {}
        self._known: dict[Credential, tuple[Principal, float]] = {}

    def now(self, credential: Credential) -> Principal | None:
        found = self._known.get(credential)
        return found[0] if found is not None and self._clock() < found[1] else None

    async def later(self, credential: Credential) -> Principal:
        token = read_unverified(_bearer(credential), self._issuers, self._rules)
        keys = self.keys[token.issuer.issuer]
        key = keys.find(token.kid, token.algorithm) or await keys.find_again(token.kid, token.algorithm)
        if key is None:
            raise UnauthenticatedError("the key is unknown")
        principal = verified(token, key, self._rules)
        self._remember(credential, principal)
        return principal

    def forget(self) -> None:
        self._known.clear()

    def _remember(self, credential: Credential, principal: Principal) -> None:
        self._known.pop(credential, None)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[credential] = (principal, min(principal.expires_at, self._clock() + _MAX_MEMORY))


def _bearer(credential: Credential) -> str:
    """Returns the token of a header (RFC 6750). Raises UnauthenticatedError."""
    if not credential:
        raise UnauthenticatedError("there is no token")
    text = credential.decode("latin-1") if isinstance(credential, bytes) else credential
    if text[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the authorization is not a bearer token")
    return text[len(_SCHEME) :].strip(" ")
