"""The administration of the JSON edge: for looks only, since a web page can POST to loopback."""

import http.client
import re
from collections.abc import Callable

import pytest

from gostream_devstack.host.http_probe import request
from gostream_devstack.servers.envoy import Envoy
from tests.deploy.replica import Replica
from tests.observability import queries

pytestmark = pytest.mark.stack

CHANGES = (
    *(
        "/quitquitquit",
        "/logging?level=debug",
        "/reset_counters",
        "/runtime_modify?a=b",
        "/cpuprofiler?enable=y",
    ),
    *("/healthcheck/fail", "/healthcheck/ok", "/drain_listeners", "/reopen_logs", "/heapprofiler?enable=y"),
    "/quitquitquit?/ready",
)


def status(envoy: Envoy, method: str, path: str) -> int:
    connection = http.client.HTTPConnection(envoy.host, envoy.admin_port, timeout=30)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def envoy(start_json_edge: Callable[..., Envoy]) -> Envoy:
    return start_json_edge(Replica())


def test_administration_changes_nothing(envoy: Envoy) -> None:
    assert {path: status(envoy, "POST", path) for path in CHANGES} == dict.fromkeys(CHANGES, 403)
    assert envoy.alive


def test_configuration_is_not_shown(envoy: Envoy) -> None:
    assert [status(envoy, "GET", path) for path in ("/config_dump", "/certs", "/")] == [403] * 3


def test_looks_are_answered(envoy: Envoy) -> None:
    looks = ("/ready", "/clusters", "/listeners", "/server_info", "/stats?filter=edge", "/stats/prometheus")
    assert {path: status(envoy, "GET", path) for path in looks} == dict.fromkeys(looks, 200)


def test_dashboards_use_metrics_of_envoy(envoy: Envoy) -> None:
    wanted = {
        selector.name
        for query in queries.queries().values()
        for selector in queries.selectors(query)
        if (selector.name or "").startswith("envoy_")
    }
    request(envoy.port, "GET", "/healthz")

    text = request(envoy.admin_port, "GET", "/stats/prometheus")[1].decode()
    found = set(re.findall(r"^(envoy_\w+)", text, re.MULTILINE))

    assert wanted
    assert wanted - found == set()
