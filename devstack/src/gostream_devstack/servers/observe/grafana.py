"""Grafana with the dashboards of deploy/grafana, over the Prometheus of one stack."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.servers.server import Server

#: How to get the program, for a machine without it.
ADVICE = "Grafana is not installed: https://grafana.com/grafana/download, with `grafana` on PATH"
_DASHBOARDS = REPOSITORY / "deploy/grafana"
#: Where packages install its files; `GRAFANA_HOME` in the environment replaces it.
_HOME = "/usr/share/grafana"


def program() -> Path | None:
    """Returns the path of the program; None if it is not on PATH."""
    found = shutil.which("grafana")
    return Path(found) if found else None


class Grafana(Server):
    """Shows the dashboards to everybody on this machine, without a login."""

    def __init__(self, directories: Directories, port: int, found: Path, prometheus: str) -> None:
        super().__init__(directories, "grafana", port)
        self._program = found
        self._prometheus = prometheus

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> Sequence[str]:
        return [str(self._program), "server", "--homepath", os.environ.get("GRAFANA_HOME", _HOME)]

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "GF_SERVER_HTTP_ADDR": self.host,
            "GF_SERVER_HTTP_PORT": str(self.port),
            "GF_PATHS_DATA": str(self.directory / "data"),
            "GF_PATHS_LOGS": str(self.directory / "data"),
            "GF_PATHS_PLUGINS": str(self.directory / "plugins"),
            "GF_PATHS_PROVISIONING": str(self.directory / "provisioning"),
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_AUTH_DISABLE_LOGIN_FORM": "true",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        }

    def prepare(self) -> None:
        dashboards = self.directory / "dashboards"
        shutil.copytree(_DASHBOARDS, dashboards, dirs_exist_ok=True)
        source = {"name": "Prometheus", "type": "prometheus", "url": self._prometheus, "isDefault": True}
        provider = {"name": "GoStream", "type": "file", "options": {"path": str(dashboards)}}
        self._provision("datasources", {"apiVersion": 1, "datasources": [source]})
        self._provision("dashboards", {"apiVersion": 1, "providers": [provider]})
        self.directories.give_all(self.directory, self.account)

    def _provision(self, kind: str, content: Mapping[str, object]) -> None:
        folder = self.directory / "provisioning" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gostream.yaml").write_text(json.dumps(content))  # JSON is YAML

    def ready(self) -> bool:
        return request(self.port, "GET", "/api/health")[0] == 200
