"""The file `run.json` next to the lock, through which other commands find a running instance."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from gostream_devstack.errors import StackError
from gostream_devstack.host.state import holder, write_private
from gostream_devstack.instance.stack import Stack

FILE = "run.json"


@dataclass(frozen=True)
class Process:
    """One server or service."""

    name: str
    pid: int | None
    port: int
    log: str

    @property
    def alive(self) -> bool:
        """Whether it runs now. A zombie does not."""
        try:
            return self.pid is not None and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class Running:
    """The supervisor, its processes, and the clients' variables."""

    supervisor: int
    env: dict[str, str]
    processes: list[Process]


def publish(root: Path, supervisor: int, stack: Stack) -> None:
    """Announces that the instance is up. Readable only by its owner, because it contains passwords."""
    processes = [
        Process(server.name, server.pid, server.port, str(server.log)) for server in stack.servers.values()
    ]
    write_private(root / FILE, json.dumps(asdict(Running(supervisor, stack.env, processes)), indent=2))


def withdraw(root: Path) -> None:
    """Announces that the instance is no longer up."""
    (root / FILE).unlink(missing_ok=True)


def find(root: Path) -> Running | None:
    """Returns the running instance below `root`. None if it does not run or is still starting."""
    path = root / FILE
    supervisor = holder(root)
    if supervisor is None or not path.exists():
        return None
    found = json.loads(path.read_text())
    if found["supervisor"] != supervisor:
        return None  # left by a killed supervisor
    return Running(supervisor, found["env"], [Process(**each) for each in found["processes"]])


def require(root: Path) -> Running:
    """Returns the running instance. Raises StackError without one."""
    running = find(root)
    if running is None and (supervisor := holder(root)):
        raise StackError(f"process {supervisor} is still starting or stopping the servers in {root}")
    if running is None:
        raise StackError(f"no servers run in {root}; start them with `gostream-devstack up`")
    return running
