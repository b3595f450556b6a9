"""Decides from answers alone whether a deployment works, and which variable is wrong."""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum

from gostream_client import GoStreamError

#: Seconds that clocks may differ. Stores refuse signed requests after fifteen minutes.
MAX_CLOCK_OFFSET = 60.0


class Trouble(StrEnum):
    """Why a request had no answer."""

    NONE = ""
    NAME = "the name has no address"
    CONNECTION = "no connection"
    TLS = "the certificate is not trusted"
    LATE = "no answer in time"
    URL = "not a URL"


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer to one HTTP request. `status` 0: none. `code`: of an S3 error. `offset`: seconds that this
    machine's clock is ahead of the server's; None: unknown.
    """

    url: str
    status: int = 0
    trouble: Trouble = Trouble.NONE
    code: str = ""
    start: bytes = b""
    allowed_origin: str = ""
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `is_good` None: not checked. `variable`: probably wrong."""

    name: str
    is_good: bool | None
    text: str
    variable: str = ""
    advice: str = ""


def api(error: GoStreamError | None, server: str, *, token: str, now: float) -> Finding:
    """What the first call of the API says."""
    if error is None:
        return Finding("API", True, f"{server} answers")
    if error.code == "UNAUTHENTICATED":
        expired = expiry(token)
        if expired is not None and expired <= now:
            age = f"expired {now - expired:.0f} s ago"
            return Finding("API", False, f"the token {age}", "GOSTREAM_TOKEN", "get a new token")
        advice = "check issuer, audience and key of the token against the API's issuers"
        variable = "AUTH_JWT_ISSUERS_FILE" if token else "GOSTREAM_TOKEN"
        return Finding("API", False, error.message, variable, advice if token else "set a token")
    if error.code == "PERMISSION_DENIED":
        return Finding("API", False, error.message, "GOSTREAM_TOKEN", "get a token with this scope")
    if error.reason == "BACKEND_UNAVAILABLE":
        return Finding("API", False, error.message, *_backend(error.message))
    return Finding(
        "API",
        False,
        f"{server}: {error.message}",
        "GOSTREAM_API_ADDR",
        "check the address, TLS and the API's log",
    )


def _backend(message: str) -> tuple[str, str]:
    variable = "S3_ENDPOINT_URL" if "store" in message else "DATABASE_URL"
    return variable, "the API does not reach this backend; see its log"


def expiry(token: str) -> float | None:
    """Returns the Unix time at which a JWT expires, without verifying it; None if that is not known."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None


def health(name: str, status: str, *, variable: str, advice: str) -> Finding:
    """What the health check of a service says."""
    return Finding(
        name,
        status == "SERVING",
        status.lower().replace("_", " "),
        "" if status == "SERVING" else variable,
        "" if status == "SERVING" else advice,
    )


def call(name: str, error: GoStreamError | None, variable: str, advice: str) -> Finding:
    """What a call through another door says."""
    if error is None:
        return Finding(name, True, "answers")
    if error.reason == "BACKEND_UNAVAILABLE":
        return Finding(name, False, error.message, *_backend(error.message))
    return Finding(name, False, error.message, variable, advice)


_PUBLIC = "S3_PUBLIC_ENDPOINT_URL"
_REFUSALS = {
    "SignatureDoesNotMatch": (
        _PUBLIC,
        "URLs are signed for its host: proxies must not change the Host header",
    ),
    "InvalidAccessKeyId": ("S3_ACCESS_KEY", "the store does not know this key"),
    "NoSuchBucket": ("S3_BUCKET", "the store has no such bucket"),
    "RequestTimeTooSkewed": ("", "synchronise the clocks of the API and of the store by NTP"),
    "AccessDenied": ("S3_ACCESS_KEY", "the key may not write uploads/, or the clocks differ"),
}


def upload(seen: Seen) -> Finding:
    """What the answer to a PUT to an upload URL says."""
    if seen.trouble:
        advice = "clients must reach it from where they are"
        return Finding("upload", False, f"{_host(seen.url)}: {seen.trouble}", _PUBLIC, advice)
    if seen.status in (200, 201, 204):
        return Finding("upload", True, f"{_host(seen.url)} stores files")
    variable, advice = _REFUSALS.get(seen.code, (_PUBLIC, "another server answers there"))
    return Finding("upload", False, f"{seen.status} {seen.code}".rstrip(), variable, advice)


def privacy(seen: Seen) -> Finding:
    """What the answer to an unsigned GET of a source says."""
    if seen.status == 200:
        advice = "remove public access from the bucket: everybody can read sources"
        return Finding("privacy", False, "sources are readable without a signature", "S3_BUCKET", advice)
    if seen.trouble or seen.status not in (401, 403, 404):
        return Finding("privacy", None, f"unknown: {seen.trouble or seen.status}")
    return Finding("privacy", True, "sources need a signature")


def clock(name: str, offset: float | None) -> Finding:
    """What the time of a server says."""
    title = f"clock of {name}"
    if offset is None:
        return Finding(title, None, "unknown")
    if abs(offset) <= MAX_CLOCK_OFFSET:
        return Finding(title, True, f"{offset:+.0f} s" if abs(offset) >= 2 else "agrees")
    side = "ahead of" if offset > 0 else "behind"
    text = f"this machine is {abs(offset):.0f} s {side} it"
    return Finding(title, False, text, "", "synchronise both clocks by NTP: signed URLs and tokens need it")


def json_edge(seen: Seen, *, has_token: bool) -> Finding:
    """What the JSON edge says to GET /v1/videos."""
    if seen.trouble:
        return Finding(
            "JSON edge", False, f"{seen.url}: {seen.trouble}", "GOSTREAM_HTTP_URL", "check the address"
        )
    if seen.status == 401:
        variable = "EDGE_AUTH_FILE" if has_token else "GOSTREAM_TOKEN"
        return Finding(
            "JSON edge", False, "401", variable, "the edge and the API must trust the same issuers"
        )
    if seen.status >= 500:
        return Finding("JSON edge", False, str(seen.status), "API_HOST", "the edge does not reach the API")
    if seen.status != 200 or not seen.start.lstrip().startswith(b"{"):
        advice = "another server answers there"
        return Finding("JSON edge", False, str(seen.status), "GOSTREAM_HTTP_URL", advice)
    return Finding("JSON edge", True, "answers")


def preflight(seen: Seen, origin: str) -> Finding:
    """What the JSON edge says to a preflight of a page."""
    if seen.trouble:
        return Finding("CORS", None, f"unknown: {seen.trouble}")
    if seen.allowed_origin in (origin, "*"):
        return Finding("CORS", True, f"pages of {origin} may call")
    return Finding(
        "CORS", False, f"pages of {origin} may not call", "EDGE_CORS_ORIGINS", "add this origin to it"
    )


def playback(seen: Seen) -> Finding:
    """What the edge says to GET of a master playlist."""
    if seen.trouble:
        advice = "viewers must reach it from where they are"
        return Finding("playback", False, f"{_host(seen.url)}: {seen.trouble}", "CDN_BASE_URL", advice)
    if seen.status == 200 and seen.start.startswith(b"#EXTM3U"):
        return Finding("playback", True, f"{_host(seen.url)} serves playlists")
    if seen.status in (403, 404):
        advice = "compare it with the policy of the bucket; gostream doctor ID tells more"
        return Finding("playback", False, str(seen.status), "EDGE_ORIGIN_SECRET", advice)
    if seen.status >= 500:
        return Finding(
            "playback", False, str(seen.status), "EDGE_ORIGIN", "the edge does not reach the store"
        )
    return Finding("playback", False, str(seen.status), "CDN_BASE_URL", "another server answers there")


def _host(url: str) -> str:
    """Returns scheme, host and port of a URL, without its signature."""
    return "/".join(url.split("/", 3)[:3])
