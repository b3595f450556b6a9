"""Verifies a JSON Web Token (RFC 7519, RFC 8725) and reads the principal from its claims."""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from gostream_api.auth.issuers import Issuer
from gostream_api.auth.jwk_set import VerifyingKey
from gostream_api.principal import MAX_ID, SCOPES, Kind, Principal
from gostream_shared.domain.errors import UnauthenticatedError

#: Longest token. All metadata of a call together may have 8 KiB.
MAX_TOKEN: Final = 6 * 1024
_REQUIRED = ("exp", "sub", "iss", "aud")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
#: Errors of PyJWT, and of what it raises for claims of an unexpected type or depth.
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What tokens of every issuer must fulfil. Times in seconds."""

    algorithms: frozenset[str]
    leeway: float
    max_lifetime: float
    #: The claim and the value of tokens that belong to services.
    service_claim: tuple[str, str] | None = None
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Unverified:
    """What is read from a token to find its key. Nothing of it may be believed."""

    token: str
    issuer: Issuer
    kid: str | None
    algorithm: str


def read_unverified(token: str, issuers: Mapping[str, Issuer], rules: TokenRules) -> Unverified:
    """Returns the issuer, the key id and the algorithm of a token. Raises UnauthenticatedError."""
    if len(token) > MAX_TOKEN:
        raise UnauthenticatedError("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
        named = jwt.decode(token, options={"verify_signature": False}).get("iss")
        is_canonical = _is_canonical(token.rpartition(".")[2])
    except _MALFORMED:
        raise UnauthenticatedError("the token is malformed") from None
    if not is_canonical:
        raise UnauthenticatedError("the signature is not canonical base64url")
    algorithm, kind, kid = header.get("alg"), header.get("typ", "JWT"), header.get("kid")
    issuer = issuers.get(named) if isinstance(named, str) else None
    if issuer is None:
        raise UnauthenticatedError("the issuer is unknown")
    accepted = rules.algorithms.intersection(issuer.algorithms or rules.algorithms)
    if not isinstance(algorithm, str) or algorithm not in accepted:
        raise UnauthenticatedError("the algorithm is not accepted")
    if "crit" in header:
        raise UnauthenticatedError("the token has critical extensions")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise UnauthenticatedError("the token is of another type")
    return Unverified(token, issuer, kid, algorithm)


def _is_canonical(signature: str) -> bool:
    """Returns True for the only spelling of these bytes: PyJWT ignores unused bits and foreign characters."""
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == signature


def verified(token: Unverified, key: VerifyingKey, rules: TokenRules) -> Principal:
    """Returns the principal of a token that `key` has signed. Raises UnauthenticatedError."""
    if not key.fits(token.algorithm):
        raise UnauthenticatedError("the key is for another algorithm")
    try:
        claims = jwt.decode(
            token.token,
            key=key.key,
            algorithms=[token.algorithm],
            audience=token.issuer.audiences,
            issuer=token.issuer.issuer,
            leeway=rules.leeway,
            options={"require": list(_REQUIRED)},
        )
        expires, issued = float(claims["exp"]), float(claims.get("iat", rules.clock()))
    except jwt.InvalidTokenError as error:
        raise UnauthenticatedError(f"{type(error).__name__}: {error}") from None
    except _MALFORMED:
        raise UnauthenticatedError("the claims are malformed") from None
    if expires - min(issued, rules.clock()) > rules.max_lifetime:
        raise UnauthenticatedError("the token is valid for too long")
    return _principal(claims, token.issuer.alias, expires, rules)


def _principal(claims: Mapping[str, Any], alias: str, expires: float, rules: TokenRules) -> Principal:
    identity = f"{alias}:{claims['sub']}"
    if not claims["sub"] or not is_identity(identity):
        raise UnauthenticatedError("the subject cannot be an owner")
    name, value = rules.service_claim or ("", None)
    return Principal(
        kind=Kind.SERVICE if name and claims.get(name) == value else Kind.USER,
        id=identity,
        owner=identity,
        scopes=frozenset(_scopes(claims)) & SCOPES,
        expires_at=expires,
    )


def is_identity(text: str) -> bool:
    """Returns True if the text can be the id of a principal: short, and printable in logs."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Returns the scopes: text separated by spaces (RFC 8693, section 4.2), or a list."""
    granted = claims.get("scope", claims.get("scp", ""))
    if isinstance(granted, str):
        return granted.split()
    return [each for each in granted if isinstance(each, str)] if isinstance(granted, list) else []
