"""Prometheus with the rules of deploy/prometheus, over the processes of one stack."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gostream_devstack.host.directories import REPOSITORY, Directories
from gostream_devstack.host.http_probe import request
from gostream_devstack.servers.server import Server

PROGRAM = "prometheus"
#: How to get the program, for a machine without it.
ADVICE = "Prometheus is not installed: `apt install prometheus`, or put its binary on PATH"
_RULES = REPOSITORY / "deploy/prometheus"
_KEPT = "2d"


def program() -> Path | None:
    """Returns the path of the program; None if it is not on PATH."""
    found = shutil.which(PROGRAM)
    return Path(found) if found else None


class Prometheus(Server):
    """Scrapes `jobs`, addresses by the name of the job, and evaluates objectives and alerts."""

    def __init__(
        self, directories: Directories, port: int, found: Path, jobs: Mapping[str, Sequence[str]]
    ) -> None:
        super().__init__(directories, PROGRAM, port)
        self._program = found
        self._jobs = jobs

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def command(self) -> Sequence[str]:
        return [
            str(self._program),
            f"--config.file={self.directory / 'prometheus.json'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--storage.tsdb.retention.time={_KEPT}",
            f"--web.listen-address={self.host}:{self.port}",
        ]

    def prepare(self) -> None:
        rules = []
        for name in ("objectives.yaml", "alerts.yaml"):  # a copy, because another account may run the server
            copy = self.directory / name
            copy.write_text((_RULES / name).read_text())
            rules.append(str(copy))
        jobs = [
            {"job_name": name, "static_configs": [{"targets": list(targets)}]}
            for name, targets in self._jobs.items()
            if targets
        ]
        config = {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": rules,
            "scrape_configs": jobs,
        }
        (self.directory / "prometheus.json").write_text(json.dumps(config, indent=2))  # JSON is YAML
        self.directories.give_all(self.directory, self.account)

    def ready(self) -> bool:
        return request(self.port, "GET", "/-/ready")[0] == 200
