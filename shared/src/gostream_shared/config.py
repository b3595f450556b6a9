"""Configuration from the environment.

Every knob is a field: its name in capitals is the variable, its description is what `--help` prints. A secret
may also come from the file that NAME_FILE names. All mistakes are reported at once.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def parse_duration(text: object) -> object:
    """`5m`, `90s`, `1h30m` as a timedelta; raises ValueError for other text."""
    if not isinstance(text, str):
        return text
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError("must be a duration such as 5m, 90s or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _without_slash(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
        raise ValueError("must be an http or https URL")
    return url.rstrip("/")


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
HttpUrl = Annotated[str, AfterValidator(_without_slash)]
Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigError(Exception):
    """The environment is wrong; the message names every variable and what is wrong with it."""


class Config(BaseModel):
    """What both services need to know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    database_url: SecretStr = Field(description="PostgreSQL, postgresql://user:password@host:port/name")
    redis_host: str = Field("localhost", description="Redis or Valkey host")
    redis_port: Port = Field(6379, description="its port")
    redis_password: SecretStr = Field(SecretStr(""), description="its password; empty = none")
    redis_db: int = Field(0, ge=0, description="its database number")
    redis_ttl: Duration = Field(timedelta(minutes=5), description="how long a cached video lives in Redis")
    cdn_base_url: HttpUrl = Field("http://localhost:8081", description="where viewers read HLS")
    s3_endpoint_url: HttpUrl | None = Field(
        None, description="object store with conditional writes (`If-Match`); unset = AWS"
    )
    s3_public_endpoint_url: HttpUrl | None = Field(
        None,
        description="the same store as clients reach it, signed into upload URLs; unset = S3_ENDPOINT_URL",
    )
    s3_region: str = Field("us-east-1", description="region signed into requests")
    s3_bucket: str = Field("videos", description="bucket of uploads/ and hls/")
    s3_access_key: SecretStr = Field(SecretStr(""), description="access key; empty = the AWS chain")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="secret key")
    s3_checksums: bool = Field(
        True, description="send a CRC32 with each object; False for stores that refuse it"
    )
    metrics_host: str = Field("0.0.0.0", description="interface of the Prometheus endpoint")  # noqa: S104 - containers
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level logged")
    log_format: Literal["json", "console"] = Field(
        "json", description="json for machines, console for people"
    )


AnyConfig = TypeVar("AnyConfig", bound=Config)


def load(kind: type[AnyConfig], environment: Mapping[str, str] = os.environ) -> AnyConfig:
    """Read the configuration. Raises ConfigError with every mistake, one a line."""
    try:
        return kind.model_validate(_given(kind, environment))
    except ValidationError as error:
        lines = [f"{str(e['loc'][0]).upper()}: {_sentence(e)}" for e in error.errors(include_input=False)]
        raise ConfigError("\n".join(lines)) from None


def _given(kind: type[Config], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are set, by field; an empty one counts as unset."""
    given: dict[str, str] = {}
    for name in kind.model_fields:
        variable = name.upper()
        if value := environment.get(variable):
            given[name] = value
        elif path := environment.get(f"{variable}_FILE"):
            try:
                given[name] = Path(path).read_text().rstrip("\n")
            except OSError as error:
                raise ConfigError(f"{variable}_FILE: cannot read {path}: {error.strerror}") from None
    return given


def _sentence(error: Any) -> str:
    return "is not set" if error["type"] == "missing" else str(error["msg"]).removeprefix("Value error, ")


def describe(kind: type[Config]) -> str:
    """Every variable with its default and meaning, for `--help`."""
    return "\n".join(f"  {name:<24} {meaning} ({default})" for name, default, meaning in rows(kind))


def rows(kind: type[Config]) -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of every knob, for `--help` and docs/configuration.md."""
    return [
        (
            name.upper(),
            "required" if field.is_required() else _shown(field.default),
            str(field.description),
        )
        for name, field in kind.model_fields.items()
    ]


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, SecretStr):
        return "empty"
    return "unset" if value is None else str(value)


def _duration(value: timedelta) -> str:
    """As it would be written in the environment: `5m` rather than `300s`."""
    minutes, seconds = divmod(value.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{number:g}{unit}" for number, unit in parts if number) or "0s"
