"""The issuer of tokens of one instance: a key that is made at its start, and the files that the API reads."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gostream_devstack.errors import StackError
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.state import write_private

ALIAS, ISSUER, AUDIENCE = "dev", "https://issuer.gostream.invalid", "gostream"
_KID = "devstack"
_KEY_FILE = "token-key.pem"


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@dataclass(frozen=True)
class TokenIssuer:
    """Signs tokens with an Ed25519 key."""

    key: Ed25519PrivateKey

    @classmethod
    def create(cls, root: Path) -> "TokenIssuer":
        """Makes a key and keeps it below `root`, readable only by its owner."""
        issuer = cls.temporary()
        pem = issuer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(root / _KEY_FILE, pem.decode())
        return issuer

    @classmethod
    def temporary(cls) -> "TokenIssuer":
        """Makes a key that is not kept."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, root: Path) -> "TokenIssuer":
        """Returns the issuer of a running instance. Raises StackError if it runs without --auth."""
        try:
            pem = (root / _KEY_FILE).read_text()
        except FileNotFoundError:
            raise StackError(f"the servers in {root} accept no tokens; start them with `up --auth`") from None
        key = load_pem_private_key(pem.encode(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise StackError(f"{root / _KEY_FILE} has another kind of key")
        return cls(key)

    def publish(self, directories: Directories) -> Path:
        """Writes the public key and the list of issuers for the API. Returns the path of the list."""
        return self.write_to(directories.make(directories.servers / "issuer"), directories.write)

    def write_to(self, folder: Path, write: Callable[[Path, str], Path] = _write) -> Path:
        """Writes the two files below `folder`."""
        public = jwt.get_algorithm_by_name("EdDSA").to_jwk(self.key.public_key(), as_dict=True)
        keys = {"keys": [{**public, "kid": _KID, "alg": "EdDSA", "use": "sig"}]}
        write(folder / "jwks.json", json.dumps(keys))
        entry = {"alias": ALIAS, "issuer": ISSUER, "audiences": [AUDIENCE], "jwks_file": "jwks.json"}
        return write(folder / "issuers.yaml", json.dumps([entry]))  # JSON is YAML

    def token(self, subject: str, scopes: str, lifetime: timedelta) -> str:
        """Returns a token. `scopes` are separated by commas or spaces."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": " ".join(scopes.replace(",", " ").split()),
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
        }
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers={"kid": _KID, "typ": "at+jwt"})


def forget(root: Path) -> None:
    """Removes the key of an earlier start."""
    (root / _KEY_FILE).unlink(missing_ok=True)
