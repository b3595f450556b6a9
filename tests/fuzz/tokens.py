"""Fuzz targets: what callers show in `authorization` and `x-gostream-subject`, and the keys of an issuer.

The first byte of an input chooses what the rest is: the value of `authorization`, changes of a good token, a
header and claims that are signed with the right key, or the value of `x-gostream-subject`.
"""

import asyncio
import base64
import json
import time
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gostream_api.auth.algorithms import ALGORITHMS
from gostream_api.auth.authenticator import TokenAuthenticator
from gostream_api.auth.issuers import Issuer
from gostream_api.auth.jwk_set import KeySetError, parse_key_set
from gostream_api.auth.jwks import IssuerKeys
from gostream_api.auth.tokens import TokenRules
from gostream_api.principal import MAX_ID, SCOPES, Principal
from gostream_api.rpc.admission import Admission, shown_in
from gostream_shared.domain.errors import UnauthenticatedError
from tests.trust.tokens import AUDIENCE, ISSUER, Source, key_set, public_jwk

#: The same in each run, as are signatures of Ed25519, so that inputs can be kept.
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEADER = b'{"alg":"EdDSA","kid":"k","typ":"JWT"}'
CLAIMS = (
    b'{"iss":"%b","aud":"%b","sub":"alice","exp":4102444800,"scope":"videos:read videos:write videos:act-as"}'
    % (ISSUER.encode(), AUDIENCE.encode())
)


def token_of(header: bytes, claims: bytes) -> bytes:
    """A token of any header and claims, signed with the key of the issuer."""
    body = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims))
    return body + b"." + base64.urlsafe_b64encode(KEY.sign(body)).rstrip(b"=")


GOOD = token_of(HEADER, CLAIMS)


class _Verifier:
    """The authenticator of one issuer, with its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        issuer = Issuer(alias="corp", issuer=ISSUER, audiences=[AUDIENCE], jwks_file="x")
        rules = TokenRules(algorithms=frozenset(ALGORITHMS), leeway=0.0, max_lifetime=float("inf"))
        self._authenticator = TokenAuthenticator({ISSUER: issuer}, rules, capacity=100)
        keys = IssuerKeys(
            "corp",
            Source(key_set(public_jwk("EdDSA", KEY, kid="k"))),
            max_age=3600,
            removed=self._authenticator.forget,
        )
        self._authenticator.keys[ISSUER] = keys
        self._loop.run_until_complete(keys.open())
        self._admission = Admission(self._authenticator, "/gostream.v1.VideoService/GetVideo")

    def principal(self, value: bytes) -> Principal | None:
        """The principal of a header; None if it is refused. Raises nothing."""
        found = None
        with suppress(UnauthenticatedError):
            found = self._loop.run_until_complete(self._authenticator.later(value))
        assert self._authenticator.now(value) is found
        return found

    def caller(self, subject: bytes) -> Principal | None:
        """The caller with a good token and this subject; None if it is refused."""
        shown = shown_in([(b"authorization", b"Bearer " + GOOD), (b"x-gostream-subject", subject)])
        with suppress(UnauthenticatedError):
            return self._loop.run_until_complete(self._admission.later(shown))
        return None


_verifier: _Verifier | None = None


def _known() -> _Verifier:
    global _verifier
    if _verifier is None:
        _verifier = _Verifier()
    return _verifier


def tokens(data: bytes) -> None:
    """Nothing but UnauthenticatedError is raised, and no principal comes from an altered token."""
    kind, rest = data[:1], data[1:]
    _KINDS[(kind[0] if kind else 0) % len(_KINDS)](rest)


def _raw(value: bytes) -> None:
    principal = _known().principal(value)
    if principal is not None:
        scheme, _, token = value.partition(b" ")
        assert (scheme.lower(), token.strip(b" ")) == (b"bearer", GOOD), value


def _altered(changes: bytes) -> None:
    """Each change is a position of two bytes and the new byte."""
    token = bytearray(GOOD)
    for at in range(0, len(changes) - 2, 3):
        token[int.from_bytes(changes[at : at + 2], "big") % len(token)] = changes[at + 2]
    principal = _known().principal(b"Bearer " + token)
    assert (principal is not None) == (token == GOOD), token


def _signed(data: bytes) -> None:
    """What the issuer signs may be wrong, but is never taken for something else."""
    header, _, claims = data.partition(b"\n")
    principal = _known().principal(b"Bearer " + token_of(header, claims))
    if principal is None:
        return
    said: dict[str, Any] = json.loads(claims)
    audiences = said["aud"] if isinstance(said["aud"], list) else [said["aud"]]
    assert (said["iss"], AUDIENCE in audiences) == (ISSUER, True), data
    assert float(said["exp"]) > time.time() - 1, data
    assert json.loads(header)["alg"] == "EdDSA", data
    assert principal.id == principal.owner == f"corp:{said['sub']}", data
    assert len(principal.id) <= MAX_ID, data
    assert principal.scopes <= SCOPES, data


def _subject(subject: bytes) -> None:
    caller = _known().caller(subject)
    if caller is not None:
        assert caller.owner == caller.sees == subject.decode("latin-1"), subject
        assert caller.id == "corp:alice", subject
        assert 0 < len(caller.owner) <= MAX_ID, subject
        assert caller.owner.isprintable(), subject


_KINDS = (_raw, _altered, _signed, _subject)


def key_sets(data: bytes) -> None:
    """Keys of an issuer: every usable key fits one type of key only."""
    with suppress(KeySetError):
        keys = parse_key_set(data)
        found = [keys.find(None, algorithm) for algorithm in ALGORITHMS]
        assert all(key is None or key.kind in ALGORITHMS.values() for key in found)
