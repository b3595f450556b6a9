"""Principals of client certificates: a SPIFFE id, and the scopes that a file grants to it."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError, field_validator

from gostream_api.auth.authenticator import Credential
from gostream_api.auth.tokens import is_identity
from gostream_api.principal import SCOPES, Kind, Principal
from gostream_shared.domain.errors import MisconfiguredError, UnauthenticatedError

_LIMIT = 256 * 1024
#: Most certificates that are remembered.
_CAPACITY = 10_000
#: A trust domain and a path (SPIFFE-ID, section 2). No segment is empty or dots, so no id leaves its prefix.
_SPIFFE_ID: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(/|$))[a-zA-Z0-9._-]+)+")

_log = structlog.stdlib.get_logger("gostream.auth")


class Grant(BaseModel):
    """The scopes of one id, or of all ids below a prefix that ends with a slash."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, StringConstraints(pattern=r"^spiffe://[^/]+/.*$", max_length=2048)]
    scopes: list[str]

    @field_validator("scopes")
    @classmethod
    def _known(cls, scopes: list[str]) -> list[str]:
        if set(scopes) - SCOPES:
            raise ValueError(f"must be among {', '.join(sorted(SCOPES))}")
        return scopes

    def covers(self, spiffe_id: str) -> bool:
        return spiffe_id.startswith(self.id) if self.id.endswith("/") else spiffe_id == self.id


_grants = TypeAdapter(list[Grant])


class CertificateAuthenticator:
    """Returns a service with the scopes of the longest matching grant; none without a grant.

    Tokens are ignored.
    """

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._grants = grants
        self._known: dict[Credential, Principal] = {}

    def now(self, token: Credential, certificate: Credential = None) -> Principal | None:
        return self._known.get(certificate)

    async def later(self, token: Credential, certificate: Credential = None) -> Principal:
        spiffe_id = certificate.decode("latin-1") if isinstance(certificate, bytes) else certificate or ""
        if not _SPIFFE_ID.fullmatch(spiffe_id) or not is_identity(spiffe_id):
            raise UnauthenticatedError("there is no client certificate with a usable SPIFFE id")
        covering = [grant for grant in self._grants if grant.covers(spiffe_id)]
        scopes = max(covering, key=lambda grant: len(grant.id)).scopes if covering else ()
        principal = Principal(kind=Kind.SERVICE, id=spiffe_id, owner=spiffe_id, scopes=frozenset(scopes))
        if len(self._known) < _CAPACITY:
            self._known[certificate] = principal
        return principal

    def replace(self, grants: Sequence[Grant]) -> None:
        """Use other grants from the next call on."""
        self._grants = grants
        self._known.clear()

    async def follow(self, path: Path, period: float = 1.0) -> None:
        """Read the file again whenever it changes. A wrong file changes nothing."""
        seen = await asyncio.to_thread(_version, path)
        while True:
            await asyncio.sleep(period)
            version = await asyncio.to_thread(_version, path)
            if version in (seen, None):
                continue
            seen = version
            try:
                self.replace(await asyncio.to_thread(load_grants, path))
            except MisconfiguredError as error:
                _log.error("the grants were not replaced", reason=str(error))


def load_grants(path: Path) -> Sequence[Grant]:
    """Returns the grants of a file. Raises MisconfiguredError with one sentence."""
    try:
        with path.open("rb") as file:
            return _grants.validate_python(yaml.safe_load(file.read(_LIMIT)))
    except OSError as error:
        raise MisconfiguredError(f"AUTH_MTLS_GRANTS_FILE cannot be read: {error.strerror}: {path}") from None
    except yaml.YAMLError:
        raise MisconfiguredError(f"AUTH_MTLS_GRANTS_FILE is not YAML: {path}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        text = f"AUTH_MTLS_GRANTS_FILE: {where}: {first['msg'].removeprefix('Value error, ')}"
        raise MisconfiguredError(text) from None


def spiffe_id_of(properties: Mapping[str, Iterable[bytes]]) -> bytes | None:
    """Returns the SPIFFE id of a gRPC connection's properties, or None without a certificate that has one.

    gRPC knows an id only if the certificate has no other URI.
    """
    return next(iter(properties.get("peer_spiffe_id", ())), None)


def spiffe_id_in(certificate: Mapping[str, Any] | None) -> bytes | None:
    """Returns the SPIFFE id of a verified certificate as `SSLSocket.getpeercert` has it, or None without one.

    A certificate with another URI too has no id (X.509-SVID, section 2).
    """
    names = (certificate or {}).get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"]
    return uris[0].encode() if len(uris) == 1 and uris[0].startswith("spiffe://") else None


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
