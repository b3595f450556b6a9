"""Types of configuration values. Each one rejects invalid text with a one-sentence error."""

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

#: Largest object in bytes that S3 accepts in one PUT: the largest source, because an upload is one PUT.
SINGLE_PUT_LIMIT = 5 * 1024**3
#: Longest validity of a presigned URL (Signature Version 4).
PRESIGNED_LIMIT = timedelta(days=7)

_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]+)?)s)?")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9._])?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KUBERNETES_LINK = re.compile(r"(tcp|udp|sctp)://.*")
#: The first steps of the keys of GoStream's own objects.
_OWN_PREFIXES = frozenset({"uploads", "hls", "gate"})
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def parse_duration(text: object) -> object:
    """Parse `5m`, `90s` or `1h30m` into a timedelta. Raises ValueError for other text."""
    if not isinstance(text, str):
        return text
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError("must be a duration such as 5m, 90s or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    try:
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("must be a shorter duration") from None


def format_duration(value: timedelta) -> str:
    """Format a duration as in the environment: `5m` rather than `300s`."""
    minutes, seconds = divmod(value.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{number:g}{unit}" for number, unit in parts if number) or "0s"


def parse_host(text: str) -> str:
    """Returns a host name or an address, without the brackets of IPv6. Raises ValueError."""
    if "://" in text:
        raise ValueError("must be a host name or an address, without a scheme such as redis:// or http://")
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            hint = " (the port is a separate variable)" if re.fullmatch(r"[^:]+:[0-9]+", host) else ""
            raise ValueError(f"must be a host name or an address{hint}") from None
    elif len(host) > 253 or not _HOST_NAME.fullmatch(host):
        raise ValueError("must be a host name or an address")
    return host


def is_loopback(host: str) -> bool:
    """Returns True if only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def join_address(host: str, port: int) -> str:
    """Returns `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port_text(text: object) -> object:
    if isinstance(text, str) and _KUBERNETES_LINK.fullmatch(text):
        raise ValueError(
            "is a link that Kubernetes sets for a Service with this name; set the variable to a number in "
            "the pod's env, or set enableServiceLinks: false"
        )
    return text


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be an http or https URL with a port between 1 and 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or _CONTROL.search(text) or " " in text:
        raise ValueError("must be an http or https URL")
    if port == 0:
        raise ValueError("must be an http or https URL with a port between 1 and 65535")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a URL without user, query and fragment")
    parse_host(parts.hostname)
    return text.rstrip("/")


def _database_url(secret: SecretStr) -> SecretStr:
    """Check a database URL. Error messages never quote it, because it contains a password."""
    text = secret.get_secret_value()
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("must be a URL, postgresql://user:password@host:port/name") from None
    if parts.scheme not in ("postgresql", "postgres") or not text.startswith(f"{parts.scheme}://"):
        raise ValueError("must be a URL, postgresql://user:password@host:port/name")
    authority = parts.netloc.rpartition("@")[2]
    if parts.fragment or "@" in parts.path or "@" in parts.netloc.rpartition("@")[0]:
        raise ValueError("must have a percent-encoded user and password: @ is %40, # is %23, / is %2F")
    for address in authority.split(","):
        _check_address(address)
    mode = dict(parse_qsl(parts.query)).get("sslmode", "prefer")
    if mode not in _SSL_MODES:
        raise ValueError(f"must have an sslmode of {', '.join(_SSL_MODES)}")
    return secret


def _check_address(address: str) -> None:
    """Check one host of a database URL. An empty host or a path means a Unix socket."""
    host, _, port = address.rpartition(":") if re.search(r":[^\]]*$", address) else (address, "", "")
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) <= 65535):
        raise ValueError("must have a port between 1 and 65535")
    if host and not host.startswith(("/", "%2F", "%2f")):
        parse_host(host)


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text):
        raise ValueError("must be a bucket name: 3 to 255 letters, digits, dots, dashes and underscores")
    return text


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError("must be a region name such as us-east-1")
    return text


def _printable(secret: SecretStr) -> SecretStr:
    if _CONTROL.search(secret.get_secret_value()):
        raise ValueError("must not contain line breaks or other control characters")
    return secret


def _networks(text: str) -> str:
    try:
        for part in filter(None, map(str.strip, text.split(","))):
            ipaddress.ip_network(part)
    except ValueError:
        raise ValueError("must be comma-separated networks such as 10.0.0.0/8") from None
    return text


def _key_prefixes(text: str) -> str:
    """Check prefixes of object keys, outside of the objects that belong to GoStream."""
    for prefix in filter(None, map(str.strip, text.split(","))):
        steps = prefix.split("/")
        if steps[-1] or "" in steps[:-1] or {".", ".."} & set(steps) or _CONTROL.search(prefix):
            raise ValueError(
                "must be comma-separated prefixes of keys that end with a slash: films/,other/raw/"
            )
        if steps[0] in _OWN_PREFIXES:
            raise ValueError(f"must not contain {steps[0]}/, which belongs to GoStream")
    return text


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def lowered(text: object) -> object:
    """Lower the case of text, so that `JSON` is read as `json`."""
    return text.lower() if isinstance(text, str) else text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url), AfterValidator(_printable)]
Host = Annotated[str, AfterValidator(parse_host)]
#: Port of a server to connect to.
Port = Annotated[int, Field(ge=1, le=65535), BeforeValidator(_port_text)]
#: Port to listen on; 0 = any free port.
ListenPort = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_port_text)]
Bucket = Annotated[str, AfterValidator(_bucket)]
Region = Annotated[str, AfterValidator(_region)]
#: A file that can be read at the start.
ReadableFile = Annotated[Path, AfterValidator(_readable)]
#: A password or key that is sent in a header or a command.
Secret = Annotated[SecretStr, AfterValidator(_printable)]
#: Comma-separated networks; empty = none.
Networks = Annotated[str, AfterValidator(_networks)]
#: Comma-separated prefixes of object keys; empty = none.
KeyPrefixes = Annotated[str, AfterValidator(_key_prefixes)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
#: A protocol of OTLP.
OtlpProtocol = Literal["grpc"]
#: The samplers of OpenTelemetry.
TraceSampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(lowered)]
