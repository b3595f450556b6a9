"""The Compose file with Prometheus, Grafana and a collector, as far as no container engine is needed."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from gostream_devstack.servers.observe import prometheus
from gostream_shared.config import Config
from tests.deploy.compose_file import ROOT, resolve

FILE = ROOT / "deploy/docker/observe.yaml"
SERVICES = resolve(yaml.safe_load(FILE.read_text()))["services"]
ADDED = ("prometheus", "grafana", "jaeger")


def test_images_are_pinned_to_a_full_version() -> None:
    for name in ADDED:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_added_services_are_restricted_and_local() -> None:
    for name in ADDED:
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "user" in service
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_mounted_files_exist() -> None:
    for name in ADDED:
        for mount in SERVICES[name].get("volumes", []):
            assert (ROOT / mount.split(":")[0]).exists(), mount


def test_services_export_by_known_variables() -> None:
    for name in ("api", "worker", "fetcher"):
        environment = SERVICES[name]["environment"]
        assert {variable.lower() for variable in environment} <= set(Config.model_fields)
        assert "observe" in SERVICES[name]["networks"]


@pytest.mark.skipif(prometheus.program() is None, reason=prometheus.ADVICE)
def test_prometheus_accepts_the_files(tmp_path: Path) -> None:
    for mount in SERVICES["prometheus"]["volumes"]:
        source, target, _ = mount.split(":")
        (tmp_path / Path(target).name).write_text((ROOT / source).read_text())

    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
