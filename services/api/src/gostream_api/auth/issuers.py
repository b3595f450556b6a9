"""The file of issuers: whose tokens are accepted, for which audience, and where their keys are."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from gostream_api.auth.algorithms import ALGORITHMS
from gostream_shared.config_types import is_loopback
from gostream_shared.domain.errors import MisconfiguredError

_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
_ALIAS = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LIMIT = 256 * 1024


class Issuer(BaseModel):
    """One issuer. `alias` is the prefix of its subjects in the ids of principals."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    alias: str
    issuer: _Text
    audiences: Annotated[list[_Text], Field(min_length=1)]
    jwks_url: str | None = None
    jwks_file: str | None = None
    algorithms: Annotated[list[str], Field(min_length=1)] | None = None

    @field_validator("alias")
    @classmethod
    def _short(cls, alias: str) -> str:
        if not _ALIAS.fullmatch(alias):
            raise ValueError("must be up to 32 lower-case letters, digits and dashes")
        return alias

    @field_validator("algorithms")
    @classmethod
    def _known(cls, algorithms: list[str] | None) -> list[str] | None:
        if algorithms and set(algorithms) - ALGORITHMS.keys():
            raise ValueError(f"must be among {', '.join(sorted(ALGORITHMS))}")
        return algorithms

    @field_validator("jwks_url")
    @classmethod
    def _safe(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        host = parts.hostname or ""
        if url and not (host and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))):
            raise ValueError("must be an https URL")
        return url

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.jwks_url) == bool(self.jwks_file):
            raise ValueError("needs jwks_url or jwks_file, and not both")
        return self


_issuers = TypeAdapter(list[Issuer])


def load_issuers(path: Path) -> Sequence[Issuer]:
    """Returns the issuers of a file. A relative `jwks_file` is below the directory of the file.

    Raises MisconfiguredError with one sentence.
    """
    try:
        with path.open("rb") as file:
            issuers = _issuers.validate_python(yaml.safe_load(file.read(_LIMIT)))
    except OSError as error:
        raise MisconfiguredError(f"AUTH_JWT_ISSUERS_FILE cannot be read: {error.strerror}: {path}") from None
    except yaml.YAMLError:
        raise MisconfiguredError(f"AUTH_JWT_ISSUERS_FILE is not YAML: {path}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        text = f"AUTH_JWT_ISSUERS_FILE: {where}: {first['msg'].removeprefix('Value error, ')}"
        raise MisconfiguredError(text) from None
    if not issuers:
        raise MisconfiguredError(f"AUTH_JWT_ISSUERS_FILE has no issuer: {path}")
    for names in ([each.alias for each in issuers], [each.issuer for each in issuers]):
        if len(set(names)) < len(names):
            raise MisconfiguredError(f"AUTH_JWT_ISSUERS_FILE has an alias or an issuer twice: {path}")
    return [
        each.model_copy(update={"jwks_file": str(path.parent / each.jwks_file)}) if each.jwks_file else each
        for each in issuers
    ]
