"""`up --observe`: Prometheus over the processes of a stack, and words about what is not installed."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gostream_devstack.app import cli
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.host.ports import Ports
from gostream_devstack.host.state import State
from gostream_devstack.instance.stack import Options, Stack
from gostream_devstack.servers.observe import grafana, installed, prometheus


def asked(port: int, path: str) -> Any:
    return json.loads(request(port, "GET", f"/api/v1/{path}")[1])["data"]


@pytest.fixture
def observed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    """A Prometheus over the processes of the shared stack."""
    root = tmp_path_factory.mktemp("observe")
    jobs = {
        "gostream-api": [f"{each.host}:{each.metrics_port}" for each in stack.apis],
        "gostream-worker": [f"{each.host}:{each.metrics_port}" for each in stack.workers],
    }
    found = prometheus.program()
    assert found is not None
    server = prometheus.Prometheus(Directories.at(root), Ports({}).pick("prometheus"), found, jobs)
    server.start()
    yield server
    server.stop()
    server.directories.remove()


@pytest.mark.slow
@pytest.mark.stack
@pytest.mark.skipif(prometheus.program() is None, reason=prometheus.ADVICE)
def test_prometheus_scrapes_every_process(observed: prometheus.Prometheus) -> None:
    port = observed.port
    deadline = time.monotonic() + 60
    while True:
        targets = asked(port, "targets?state=active")["activeTargets"]
        healthy = {each["labels"]["job"] for each in targets if each["health"] == "up"}
        if healthy == {"gostream-api", "gostream-worker"}:
            break
        assert time.monotonic() < deadline, targets
        time.sleep(0.2)

    groups = asked(port, "rules")["groups"]
    assert {"alerts.yaml", "objectives.yaml"} == {Path(each["file"]).name for each in groups}


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directories = Directories.at(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert installed.installed(directories, lambda _: 1, {}) == ([], {}, [prometheus.ADVICE])

    monkeypatch.setattr(shutil, "which", lambda name: "/x" if name == "prometheus" else None)
    servers, urls, missing = installed.installed(directories, lambda _: 1, {})
    assert [each.name for each in servers] == ["prometheus"]
    assert (set(urls), missing) == ({"PROMETHEUS_URL"}, [grafana.ADVICE])


def test_grafana_reads_the_prometheus_of_the_stack(tmp_path: Path) -> None:
    server = grafana.Grafana(Directories.at(tmp_path), 1, Path("/x"), "http://127.0.0.1:9")
    server.directory.mkdir(parents=True)
    server.prepare()

    sources = json.loads((server.directory / "provisioning/datasources/gostream.yaml").read_text())
    assert sources["datasources"][0]["url"] == "http://127.0.0.1:9"
    assert (server.directory / "dashboards/gostream-api.json").exists()


def test_observing_needs_plain_metrics() -> None:
    done = CliRunner().invoke(cli, ["up", "--observe", "--tls"])

    assert done.exit_code == 2


@pytest.mark.skipif(prometheus.program() is None, reason=prometheus.ADVICE)
def test_observing_is_part_of_the_stack(tmp_path: Path) -> None:
    options = Options(observe=True)
    stack = Stack(Directories.at(tmp_path), State(), Ports({}), options)

    assert stack.servers["prometheus"].port == int(stack.env["PROMETHEUS_URL"].rpartition(":")[2])
    assert "prometheus" not in Stack(Directories.at(tmp_path), State(), Ports({}), Options()).servers
