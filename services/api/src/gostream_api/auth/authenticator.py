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
    """Finds the principal of a call, from its token, from the certificate of its connection, or from both."""

    def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
        """Returns the principal if it is known without waiting."""
        ...

    async def later(self, token: Credential, certificate: Credential = None) -> Principal:
        """Returns the principal. Raises UnauthenticatedError and BackendUnavailableError."""
        ...


class OpenDoor:
    """Everybody is ANONYMOUS."""

    def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
        return ANONYMOUS

    async def later(self, token: Credential, certificate: Credential = None) -> Principal:
        return ANONYMOUS


class EitherAuthenticator:
    """The principal of a call is that of its token; without a token, that of the certificate.

    A wrong token is refused, also with a good certificate. A certificate without a scope is an edge's: it
    opens the connection for the calls of others.
    """

    def __init__(self, tokens: Authenticator, certificates: Authenticator) -> None:
        self._tokens = tokens
        self._certificates = certificates

    def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
        if token is not None:
            return self._tokens.now(token)
        known = self._certificates.now(None, certificate)
        return known if known is not None and known.scopes else None

    async def later(self, token: Credential, certificate: Credential = None) -> Principal:
        if token is not None:
            return await self._tokens.later(token)
        principal = await self._certificates.later(None, certificate)
        if not principal.scopes:
            raise UnauthenticatedError("there is no token, and the certificate has no grant")
        return principal


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

    def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
        found = self._known.get(token)
        return found[0] if found is not None and self._clock() < found[1] else None

    async def later(self, token: Credential, certificate: Credential = None) -> Principal:
        read = read_unverified(_bearer(token), self._issuers, self._rules)
        keys = self.keys[read.issuer.issuer]
        key = keys.find(read.kid, read.algorithm) or await keys.find_again(read.kid, read.algorithm)
        if key is None:
            raise UnauthenticatedError("the key is unknown")
        principal = verified(read, key, self._rules)
        self._remember(token, principal)
        return principal

    def forget(self) -> None:
        self._known.clear()

    def _remember(self, token: Credential, principal: Principal) -> None:
        self._known.pop(token, None)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[token] = (principal, min(principal.expires_at, self._clock() + _MAX_MEMORY))


def _bearer(header: Credential) -> str:
    """Returns the token of a header (RFC 6750). Raises UnauthenticatedError."""
    if not header:
        raise UnauthenticatedError("there is no token")
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    if text[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the authorization is not a bearer token")
    return text[len(_SCHEME) :].strip(" ")
