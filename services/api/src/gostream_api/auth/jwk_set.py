"""A JSON Web Key Set (RFC 7517) as the keys that can verify tokens."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import jwt

from gostream_api.auth.algorithms import ALGORITHMS

#: Largest key set in bytes.
MAX_BYTES: Final = 256 * 1024
_MIN_RSA_BITS = 2048
#: The members of public keys. Private members are never read.
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")


class KeySetError(Exception):
    """The bytes are not a key set with at least one usable key."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key. `algorithm` is the only one that it may verify, if its set names one."""

    kid: str | None
    kind: tuple[str, str]
    algorithm: str | None
    key: Any
    fingerprint: str

    def fits(self, algorithm: str) -> bool:
        """Returns True if this key may verify signatures of `algorithm`."""
        return ALGORITHMS.get(algorithm) == self.kind and self.algorithm in (None, algorithm)


class KeySet:
    """The keys of one issuer at one time."""

    def __init__(self, keys: Iterable[VerifyingKey]) -> None:
        self._keys = tuple(keys)
        self.fingerprints = frozenset((key.kid, key.algorithm, key.fingerprint) for key in self._keys)

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Returns the key with this id. Without an id, returns the only key that fits."""
        fitting = [key for key in self._keys if key.fits(algorithm) and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None


def parse_key_set(text: bytes) -> KeySet:
    """Returns the usable keys: public, for signatures, of a known type and size. Raises KeySetError."""
    if len(text) > MAX_BYTES:
        raise KeySetError(f"the key set is larger than {MAX_BYTES} bytes")
    try:
        entries = json.loads(text)["keys"]
        keys = [key for entry in entries if (key := _usable(entry)) is not None]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise KeySetError("the key set is not a JSON Web Key Set") from None
    if not keys:
        raise KeySetError("the key set has no usable key")
    return KeySet(keys)


def _usable(entry: dict[str, Any]) -> VerifyingKey | None:
    """Returns the key of an entry, or None if it is for another purpose or of an unknown type."""
    kind = (entry.get("kty"), entry.get("crv", ""))
    algorithms = [name for name, needed in ALGORITHMS.items() if needed == kind]
    algorithm, kid = entry.get("alg"), entry.get("kid")
    if not algorithms or (algorithm is not None and algorithm not in algorithms):
        return None
    if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
        return None
    if kid is not None and not isinstance(kid, str):
        return None
    public = {name: entry[name] for name in _PUBLIC if name in entry}
    try:
        key = jwt.PyJWK(public, algorithm=algorithm or algorithms[0]).key
    except jwt.PyJWTError:
        return None
    if kind[0] == "RSA" and key.key_size < _MIN_RSA_BITS:
        return None
    return VerifyingKey(kid, (str(kind[0]), str(kind[1])), algorithm, key, json.dumps(public, sort_keys=True))
