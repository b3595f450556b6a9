"""What answers say about a deployment, and the variable that is named."""

import base64
import json
from typing import Any

import pytest

from gostream_cli.doctor import findings
from gostream_cli.doctor.findings import Finding, Seen, Trouble
from gostream_client import GoStreamError

URL = "https://s3.example:9000/videos/uploads/x/source?X-Amz-Signature=secret"
MASTER = "http://cdn.example/hls/x/master.m3u8"


def error(code: str, reason: str = "", message: str = "no") -> GoStreamError:
    return GoStreamError(message, reason=reason or code, code=code)


def token(**claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


def api(failure: GoStreamError | None, text: str = "") -> Finding:
    return findings.api(failure, "api.example:50051", token=text, now=1000.0)


def s3(status: int, code: str) -> Finding:
    return findings.upload(Seen(URL, status, code=code))


def edge(status: int, start: bytes = b"") -> Finding:
    return findings.playback(Seen(MASTER, status, start=start))


def json_edge(status: int, *, has_token: bool = False) -> Finding:
    return findings.json_edge(Seen("http://e", status), has_token=has_token)


#: The finding, and the variable that it names.
BAD: dict[str, tuple[Finding, str]] = {
    "API unreachable": (api(error("UNAVAILABLE")), "GOSTREAM_API_ADDR"),
    "token expired": (api(error("UNAUTHENTICATED"), token(exp=900)), "GOSTREAM_TOKEN"),
    "token of another issuer": (api(error("UNAUTHENTICATED"), token(exp=2000)), "AUTH_JWT_ISSUERS_FILE"),
    "no token": (api(error("UNAUTHENTICATED")), "GOSTREAM_TOKEN"),
    "scope missing": (api(error("PERMISSION_DENIED")), "GOSTREAM_TOKEN"),
    "database down": (
        api(error("UNAVAILABLE", "BACKEND_UNAVAILABLE", "database is unavailable")), "DATABASE_URL",
    ),
    "store down": (
        findings.call("create", error("UNAVAILABLE", "BACKEND_UNAVAILABLE", "object store is"), "X", ""),
        "S3_ENDPOINT_URL",
    ),
    "redis down": (findings.health("bus", "NOT_SERVING", variable="REDIS_HOST", advice="x"), "REDIS_HOST"),
    "public endpoint unknown": (findings.upload(Seen(URL, trouble=Trouble.NAME)), "S3_PUBLIC_ENDPOINT_URL"),
    "public endpoint dead": (
        findings.upload(Seen(URL, trouble=Trouble.CONNECTION)), "S3_PUBLIC_ENDPOINT_URL",
    ),
    "public endpoint untrusted": (findings.upload(Seen(URL, trouble=Trouble.TLS)), "S3_PUBLIC_ENDPOINT_URL"),
    "public endpoint rewritten": (s3(403, "SignatureDoesNotMatch"), "S3_PUBLIC_ENDPOINT_URL"),
    "public endpoint of a web server": (s3(405, ""), "S3_PUBLIC_ENDPOINT_URL"),
    "wrong key": (s3(403, "InvalidAccessKeyId"), "S3_ACCESS_KEY"),
    "wrong bucket": (s3(404, "NoSuchBucket"), "S3_BUCKET"),
    "store's clock": (s3(403, "RequestTimeTooSkewed"), ""),
    "public bucket": (findings.privacy(Seen(URL, 200)), "S3_BUCKET"),
    "clock ahead": (findings.clock("the API", 900), ""),
    "clock behind": (findings.clock("the API", -900), ""),
    "edge dead": (findings.playback(Seen(MASTER, trouble=Trouble.CONNECTION)), "CDN_BASE_URL"),
    "edge of another": (edge(200, b"<html>"), "CDN_BASE_URL"),
    "edge redirects": (edge(301), "CDN_BASE_URL"),
    "edge secret wrong": (edge(403), "EDGE_ORIGIN_SECRET"),
    "edge without a store": (edge(502), "EDGE_ORIGIN"),
    "JSON edge dead": (
        findings.json_edge(Seen("http://e", trouble=Trouble.LATE), has_token=False), "GOSTREAM_HTTP_URL",
    ),
    "JSON edge of another": (json_edge(404), "GOSTREAM_HTTP_URL"),
    "JSON edge without an API": (json_edge(503), "API_HOST"),
    "JSON edge and no token": (json_edge(401), "GOSTREAM_TOKEN"),
    "JSON edge of another issuer": (json_edge(401, has_token=True), "EDGE_AUTH_FILE"),
    "CORS closed": (findings.preflight(Seen("http://e", 403), "https://p"), "EDGE_CORS_ORIGINS"),
    "CORS of another": (
        findings.preflight(Seen("http://e", 200, allowed_origin="https://q"), "https://p"),
        "EDGE_CORS_ORIGINS",
    ),
    "read door dead": (
        findings.call("read door", error("UNAVAILABLE"), "GOSTREAM_READ_ADDR", "x"), "GOSTREAM_READ_ADDR",
    ),
}  # fmt: skip
GOOD = {
    "API": api(None),
    "health": findings.health("health", "SERVING", variable="X", advice="x"),
    "upload": s3(200, ""),
    "privacy": findings.privacy(Seen(URL, 403)),
    "clock": findings.clock("the API", 1.5),
    "playback": edge(200, b"#EXTM3U\n"),
    "JSON edge": findings.json_edge(Seen("http://e", 200, start=b'{"videos":[]}'), has_token=True),
    "CORS": findings.preflight(Seen("http://e", 200, allowed_origin="https://p"), "https://p"),
    "read door": findings.call("read door", None, "X", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_variable_is_named(name: str) -> None:
    finding, variable = BAD[name]

    assert finding.is_good is False
    assert finding.variable == variable
    assert finding.advice


@pytest.mark.parametrize("name", GOOD)
def test_good_answers_name_no_variable(name: str) -> None:
    assert GOOD[name].is_good is True
    assert (GOOD[name].variable, GOOD[name].advice) == ("", "")


@pytest.mark.parametrize("name", [*BAD, *GOOD])
def test_findings_show_no_signature(name: str) -> None:
    finding = BAD[name][0] if name in BAD else GOOD[name]

    assert "secret" not in str(finding)


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c", "a.e30.c", token(exp="x"), token(exp=[]), "..", "é.é.é"]
)
def test_unreadable_tokens_have_no_expiry(text: str) -> None:
    assert findings.expiry(text) is None
