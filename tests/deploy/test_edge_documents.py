"""The OpenAPI document and its page, as the JSON edge serves them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gostream_devstack.servers.envoy import Envoy
from tests.deploy.json_edge import ask
from tests.deploy.replica import Replica
from tests.support.browser import CHROMIUM, dump
from tests.support.repository import ROOT

pytestmark = pytest.mark.stack

GENERATED = ROOT / "protos/gen"


@pytest.fixture
def replica() -> Replica:
    return Replica()


@pytest.fixture
def envoy(start_json_edge: Callable[..., Envoy], replica: Replica) -> Envoy:
    return start_json_edge(replica)


def test_document_is_served_unchanged(envoy: Envoy, replica: Replica) -> None:
    status, body, headers = ask(envoy, "/openapi.json")

    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == json.loads((GENERATED / "openapi.json").read_text())
    assert replica.calls == []


def test_page_is_served_with_its_policy(envoy: Envoy) -> None:
    status, body, headers = ask(envoy, "/reference?anything")

    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body == (GENERATED / "reference.html").read_bytes()
    assert "script-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_page_requests_nothing() -> None:
    html = (GENERATED / "reference.html").read_text()

    assert (
        re.findall(r"<(?:script|link|img|iframe|object|embed|form|base)\b|url\(|@import| on\w+=", html) == []
    )
    assert set(re.findall(r'href="([^#"][^"]*)"', html)) == {"/openapi.json"}


def test_links_of_page_lead_somewhere() -> None:
    html = (GENERATED / "reference.html").read_text()
    ids = re.findall(r'id="([^"]+)"', html)

    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


@pytest.mark.parametrize("path", ["/openapi.json", "/reference"])
def test_documents_follow_the_rules_of_edge(envoy: Envoy, path: str) -> None:
    assert ask(envoy, path, "HEAD")[:2] == (200, None)
    assert ask(envoy, path, "POST")[0] == 404
    assert ask(envoy, path, Host="evil.example")[0] == 403
    assert ask(envoy, "/healthz")[1] == b"ok\n", "the other body of a 200"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_browser_shows_the_page(envoy: Envoy, tmp_path: Path) -> None:
    shown = dump(f"{envoy.url}/reference", tmp_path)

    assert "VideoService_CreateVideo" in shown.html
    assert shown.errors == [], "violations of the policy"
