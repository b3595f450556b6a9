"""The JSON edge with the fast door: Envoy that answers hot reads itself (docs/explanation/fast-door.md)."""

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

from gostream_api.fast_door.envoy_config import obstacle
from gostream_devstack.host.directories import REPOSITORY, Account, Directories
from gostream_devstack.host.interpreter import account_of_services
from gostream_devstack.servers.envoy import Envoy
from gostream_devstack.servers.service import home_of, python


class Door(Envoy):
    """Replaces Envoy under its name. Like a service, it inherits the environment and is restarted."""

    restarts: ClassVar[bool] = True
    stop_timeout: ClassVar[float] = 20.0  # it drains first

    def __init__(
        self,
        directories: Directories,
        port: int,
        admin_port: int,
        api_ports: Sequence[int],
        metrics_port: int,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(directories, port, admin_port, api_ports)
        self.metrics_port = metrics_port
        self.settings = settings

    @property
    def account(self) -> Account | None:
        """The servers' account if it can run this interpreter."""
        return account_of_services(self.directories)

    @property
    def metrics_url(self) -> str:
        """The URL for Prometheus."""
        return f"http://{self.host}:{self.metrics_port}/metrics"

    def environment(self) -> Mapping[str, str]:
        local = {"METRICS_HOST": self.host, "METRICS_PORT": str(self.metrics_port)}
        return {
            "LOG_FORMAT": "json",
            "SHUTDOWN_DELAY": "1s",
            **os.environ,
            **home_of(self),
            **self.settings,
            **local,
            "PYTHONUNBUFFERED": "1",
        }

    def command(self) -> Sequence[str]:
        paths = (
            "--config",
            str(self.directory / "envoy.json"),
            "--door",
            str(REPOSITORY / "deploy/envoy/door.yaml"),
        )
        return [*python("gostream_api.fast_door.run"), *paths]


def missing_because(environment: Mapping[str, str]) -> str | None:
    """Returns why the fast door is unavailable, or None. `GOSTREAM_FAST_DOOR=off` disables it."""
    if environment.get("GOSTREAM_FAST_DOOR", "on").lower() in {"off", "0", "no", "false"}:
        return "disabled by GOSTREAM_FAST_DOOR"
    return obstacle()
