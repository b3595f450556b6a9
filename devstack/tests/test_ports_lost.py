"""A port that another program takes between the choice and the start."""

import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gostream_devstack.app import STATE_DIR
from gostream_devstack.errors import PortLostError, StackError
from gostream_devstack.host.directories import REPOSITORY, Account, Directories
from gostream_devstack.host.interpreter import account_of_services
from gostream_devstack.host.ports import HOST, Ports
from gostream_devstack.instance.up import start_somewhere
from gostream_devstack.servers.server import Server


class Web(Server):
    """Python's web server; `begins` runs just before it."""

    begins: Callable[[int], None] = staticmethod(lambda _: None)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "http.server", "--bind", HOST, str(self.port)]

    @property
    def account(self) -> Account | None:
        return account_of_services(self.directories)

    def prepare(self) -> None:
        self.begins(self.port)

    def ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


@pytest.fixture
def take() -> Iterator[Callable[[int], None]]:
    """A function that listens on a port like another program."""
    taken: list[socket.socket] = []

    def listen(port: int) -> None:
        taken.append(socket.create_server((HOST, port)))

    yield listen
    for each in taken:
        each.close()


def test_start_on_a_taken_port_names_the_port(tmp_path: Path, take: Callable[[int], None]) -> None:
    port = Ports({}).pick("web")
    take(port)
    server = Web(Directories.at(tmp_path), "web", port)

    with pytest.raises(PortLostError, match=f"web lost port {port} to another program"):
        server.start()

    assert server.pid is None


def test_port_lost_during_the_start_is_noticed(tmp_path: Path, take: Callable[[int], None]) -> None:
    server = Web(Directories.at(tmp_path), "web", Ports({}).pick("web"))
    server.begins = take

    with pytest.raises(PortLostError, match="lost port"):
        server.start()


def test_other_start_failures_are_no_lost_port(tmp_path: Path) -> None:
    server = Web(Directories.at(tmp_path), "web", Ports({}).pick("web"))
    server.ready = lambda: False  # type: ignore[method-assign]
    server.spawn()
    server.kill()

    with pytest.raises(StackError, match="ended with") as error:
        server.wait_ready()

    assert not isinstance(error.value, PortLostError)


class OneServer:
    """A stack of one server on a port chosen by `ports`."""

    def __init__(self, home: Directories, ports: Ports) -> None:
        self.server = Web(home, "web", ports.pick("web"))

    def start(self, report: object) -> None:
        self.server.start()


def test_lost_port_is_chosen_again(tmp_path: Path, take: Callable[[int], None]) -> None:
    ports, said = Ports({}), list[str]()
    made: list[OneServer] = []

    def make() -> OneServer:
        made.append(OneServer(Directories.at(tmp_path), ports))
        if len(made) == 1:
            take(made[0].server.port)
        return made[-1]

    stack = start_somewhere(make, ports, lambda *_: None, said.append)  # type: ignore[arg-type]

    try:
        assert len(made) == 2
        assert made[1].server.port != made[0].server.port
        assert ports.remembered["web"] == made[1].server.port
        assert f"lost port {made[0].server.port}" in said[0]
    finally:
        made[-1].server.stop()
    assert id(stack) == id(made[1])


def test_state_directory_is_in_the_checkout() -> None:
    assert (REPOSITORY / "docker-compose.yml").is_file()
    assert STATE_DIR == REPOSITORY / ".devstack"
