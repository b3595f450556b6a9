"""The signature algorithms of tokens, and the type of key that each requires (RFC 7518, RFC 8037).

Only algorithms with a public key are known: a verifier cannot be tricked into using one as a shared secret.
"""

from collections.abc import Mapping
from typing import Final

#: The key type and the curve of each algorithm.
ALGORITHMS: Final[Mapping[str, tuple[str, str]]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
}


def names(text: str) -> frozenset[str]:
    """Returns the algorithms of a comma-separated list."""
    return frozenset(each.strip() for each in text.split(",") if each.strip())
