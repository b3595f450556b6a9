"""Configuration from the environment.

Each field is one variable: the field's name in capitals, with the description that `--help` prints. A secret
can also be read from the file given in NAME_FILE. All errors are reported together.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from gostream_shared.config_text import sentence, shown
from gostream_shared.config_traces import TracesConfig
from gostream_shared.config_types import (
    Bucket,
    DatabaseUrl,
    Duration,
    Host,
    HttpUrl,
    LogFormat,
    LogLevel,
    Port,
    ReadableFile,
    Region,
    Secret,
)
from gostream_shared.redis_target import RedisTarget, RedisUrl, clashes, parse_redis_url
from gostream_shared.weak_secrets import password_of, refusals

#: Largest secret file in bytes; a larger one is a mistake, or an endless device.
_FILE_LIMIT = 64 * 1024
#: Names of an account, kept out of logs like its secret.
_NOT_SECRET = ("redis_username", "redis_sentinel_username", "s3_access_key")


class ConfigError(Exception):
    """The environment is invalid; the message lists every wrong variable and the reason."""


class Config(TracesConfig):
    """Configuration that both services share."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    database_url: DatabaseUrl = Field(
        description="PostgreSQL, postgresql://user:password@host:port/name; several hosts: @a:5432,b:5432/"
    )
    database_direct_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL without a pooler, for notifications; unset = DATABASE_URL"
    )
    database_pooled: bool = Field(
        False,
        description="DATABASE_URL is PgBouncer in transaction mode; requires DATABASE_DIRECT_URL",
        validate_default=True,
    )
    redis_url: RedisUrl = Field(
        SecretStr(""),
        description="Redis by URL, instead of host, port, database and TLS; empty = these variables",
    )
    redis_host: Host = Field("localhost", description="Redis or Valkey host")
    redis_port: Port = Field(6379, description="Redis port")
    redis_password: Secret = Field(SecretStr(""), description="Redis password; empty = none")
    redis_username: Secret = Field(SecretStr(""), description="Redis user (ACL); empty = the default user")
    redis_tls: bool = Field(False, description="connect to Redis by TLS and check its certificate")
    redis_ca_file: ReadableFile | None = Field(
        None, description="authority of Redis's certificate; unset = the system's authorities"
    )
    redis_sentinel_username: Secret = Field(
        SecretStr(""), description="user (ACL) of the sentinels; empty = the default user"
    )
    redis_sentinel_password: Secret = Field(
        SecretStr(""), description="password of the sentinels; empty = none"
    )
    redis_db: int = Field(0, ge=0, le=9999, description="Redis database number")
    redis_ttl: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(milliseconds=100),
        le=timedelta(days=7),
        description="lifetime of a cached video in Redis",
    )
    cdn_base_url: HttpUrl = Field("http://localhost:8081", description="base URL of the published HLS files")
    delete_retention: Duration = Field(
        timedelta(minutes=1),
        ge=timedelta(0),
        le=timedelta(days=30),
        description="time in which a deleted video can be undeleted; its objects remain until then",
    )
    s3_endpoint_url: HttpUrl | None = Field(
        None, description="object store with conditional writes (`If-Match`); unset = AWS"
    )
    s3_public_endpoint_url: HttpUrl | None = Field(
        None,
        description="endpoint of the store for clients, signed into upload URLs; unset = S3_ENDPOINT_URL",
    )
    s3_region: Region = Field("us-east-1", description="region that requests are signed for")
    s3_bucket: Bucket = Field("videos", description="bucket that holds uploads/, hls/ and gate/")
    s3_access_key: Secret = Field(SecretStr(""), description="access key; empty = the AWS credential chain")
    s3_secret_key: Secret = Field(SecretStr(""), description="secret key", validate_default=True)
    s3_checksums: bool = Field(
        True, description="send a CRC32 with each object; False for stores that reject it"
    )
    s3_ca_file: ReadableFile | None = Field(
        None, description="authority of the store's certificate; unset = the system's authorities"
    )
    tls_cert_file: ReadableFile | None = Field(
        None, description="certificate chain of every listener, PEM; read again when it changes"
    )
    tls_key_file: ReadableFile | None = Field(
        None, description="key of TLS_CERT_FILE, PEM", validate_default=True
    )
    tls_client_ca_file: ReadableFile | None = Field(
        None, description="authority of clients; set = every client needs a certificate of it"
    )
    gostream_bind: Host | None = Field(
        None, description="address on which a container publishes its ports; unset = the listening addresses"
    )
    metrics_host: Host = Field("127.0.0.1", description="interface of the Prometheus endpoint")
    log_level: LogLevel = Field("INFO", description="minimum log level")
    log_format: LogFormat = Field("json", description="json for machines, console for people")

    @field_validator("database_pooled")
    @classmethod
    def _direct_beside_pooled(cls, is_pooled: bool, info: ValidationInfo) -> bool:
        if is_pooled and info.data.get("database_direct_url", "invalid") is None:
            raise ValueError(
                "needs DATABASE_DIRECT_URL, the address of PostgreSQL itself: a pooler in transaction mode "
                "delivers no notifications"
            )
        return is_pooled

    @field_validator("s3_secret_key")
    @classmethod
    def _both_keys(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        key = info.data.get("s3_access_key")  # absent if it is invalid
        if key is not None and bool(key.get_secret_value()) != bool(secret.get_secret_value()):
            raise ValueError("must be set if S3_ACCESS_KEY is, and only then")
        return secret

    @field_validator("tls_key_file")
    @classmethod
    def _both_files(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_cert_file") is None):
            raise ValueError("must be set if TLS_CERT_FILE is, and only then")
        return key

    @field_validator("tls_client_ca_file")
    @classmethod
    def _authority_with_certificate(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("tls_cert_file") is None:
            raise ValueError("has no effect without TLS_CERT_FILE")
        return path

    def redis(self) -> RedisTarget:
        """Returns where Redis is and how to log in."""
        username, password = self.redis_username.get_secret_value(), self.redis_password.get_secret_value()
        if url := self.redis_url.get_secret_value():
            target = parse_redis_url(url)
            has_login = target.username or target.password
            return target if has_login else replace(target, username=username, password=password)
        return RedisTarget(
            addresses=((self.redis_host, self.redis_port),),
            database=self.redis_db,
            username=username,
            password=password,
            tls=self.redis_tls,
        )

    def listeners(self) -> dict[str, str]:
        """Returns the addresses of the listeners by variable."""
        return {"METRICS_HOST": self.metrics_host}

    def weak_secrets(self) -> dict[str, str]:
        """Returns the variables with a secret that is too weak for the listeners, each with one sentence."""
        secrets = {
            name.upper(): value.get_secret_value()
            for name, value in self
            if isinstance(value, SecretStr) and name not in _NOT_SECRET
        }
        for name in ("DATABASE_URL", "DATABASE_DIRECT_URL"):
            if name in secrets:
                secrets[name] = password_of(secrets[name])
        secrets["REDIS_URL"] = self.redis().password if secrets["REDIS_URL"] else ""
        published = {"GOSTREAM_BIND": self.gostream_bind} if self.gostream_bind else self.listeners()
        return refusals(secrets, published)


AnyConfig = TypeVar("AnyConfig", bound=Config)


def load(kind: type[AnyConfig], environment: Mapping[str, str] = os.environ) -> AnyConfig:
    """Read the configuration. Raises ConfigError with every error, one per line."""
    given, mistakes = _given(kind, environment)
    mistakes |= clashes(given, given.get("redis_url", ""))
    try:
        config = kind.model_validate(given)
    except ValidationError as error:
        for each in error.errors(include_input=False):
            name = str(each["loc"][0])
            mistakes.setdefault(name.upper(), sentence(each, kind.model_fields[name]))
    else:
        mistakes |= config.weak_secrets()
    if mistakes:
        lines = [f"{_file_or(name, environment)}: {mistakes[name]}" for name in mistakes]
        raise ConfigError(
            "\n".join(" ".join(line.splitlines()) for line in lines)
        )  # a path may have line breaks
    return config


def _given(kind: type[Config], environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the set variables by field, and the errors of their files. Empty variables count as unset."""
    given: dict[str, str] = {}
    mistakes: dict[str, str] = {}
    for name in kind.model_fields:
        variable = name.upper()
        if value := environment.get(variable):
            given[name] = value
        elif path := environment.get(f"{variable}_FILE"):
            try:
                value = _read(Path(path))
            except (OSError, ValueError) as error:
                mistakes[variable] = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
                continue
            if value:
                given[name] = value
    return given, mistakes


def _read(path: Path) -> str:
    """Raises OSError and ValueError."""
    with path.open("rb") as file:
        content = file.read(_FILE_LIMIT + 1)
    if len(content) > _FILE_LIMIT:
        raise ValueError(f"the file has more than {_FILE_LIMIT} bytes")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None


def _file_or(variable: str, environment: Mapping[str, str]) -> str:
    """Returns the name of the variable that gave the value."""
    from_file = not environment.get(variable) and environment.get(f"{variable}_FILE")
    return f"{variable}_FILE" if from_file else variable


def describe(kind: type[Config]) -> str:
    """Returns one line per variable with its meaning and default, for `--help`."""
    return "\n".join(f"  {name:<24} {meaning} ({default})" for name, default, meaning in rows(kind))


def rows(kind: type[Config]) -> list[tuple[str, str, str]]:
    """Returns (variable, default, meaning) of each field, for `--help` and the configuration reference."""
    return [
        (
            name.upper(),
            "required" if field.is_required() else shown(field.default),
            str(field.description),
        )
        for name, field in kind.model_fields.items()
    ]
