"""An issuer of tokens with keys of every kind, its key sets, and forgeries."""

import base64
import json
import time
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER, AUDIENCE = "https://issuer.test", "gostream"
#: Made once, because an RSA key takes long.
PRIVATE: dict[str, Any] = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def public_jwk(algorithm: str, key: Any, **members: object) -> dict[str, Any]:
    """The public key as an entry of a key set."""
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": algorithm, "use": "sig", **members}


def key_set(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


def all_keys() -> bytes:
    return key_set(*(public_jwk(algorithm, key) for algorithm, key in PRIVATE.items()))


def claims(**changes: object) -> dict[str, Any]:
    """The claims of a token. None removes a claim; a timedelta becomes a time from now on."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
    whole = {**usual, "scope": "videos:read videos:write", **changes}
    return {
        name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in whole.items()
        if value is not None
    }


def signed(
    algorithm: str = "EdDSA", *, key: Any = None, header: dict[str, Any] | None = None, **changes: object
) -> str:
    """A token. A claim that is None is absent."""
    body = json.dumps(claims(**changes)).encode()
    headers = {"kid": algorithm, "typ": "JWT", **(header or {})}
    return jwt.PyJWS().encode(body, key or PRIVATE[algorithm], algorithm, headers)


def assembled(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    """A token of arbitrary parts."""
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class Source:
    """A scripted source of keys."""

    pause = 30.0

    def __init__(self, text: bytes | Exception) -> None:
        self.text = text
        self.fetches = 0

    async def fetch(self) -> bytes | None:
        self.fetches += 1
        if isinstance(self.text, Exception):
            raise self.text
        return self.text


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now
