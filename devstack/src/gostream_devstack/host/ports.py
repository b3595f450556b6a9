"""Which port each server listens on: the usual one, else the next free one, and the same again next time."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO

from gostream_devstack.errors import StackError

HOST = "127.0.0.1"
# Below the kernel's range for outgoing connections, so that no connection can take a port we chose.
ANYWHERE = range(10_000, 32_768)


def is_free(port: int) -> bool:
    """Whether a server could bind `port` on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def claim(port: int) -> bool:
    """Whether `port` is ours until this process ends: no other that asks here is given it.

    A port that was chosen is free until its server listens, and another run of the tests beside this one may
    choose it too. Where there is no file to agree in, everybody guesses.
    """
    try:
        claims = _claims()
    except OSError:
        return True
    try:
        fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _claims() -> IO[bytes]:
    """A file that stays empty: each port is a byte of it that may be locked."""
    path = Path(tempfile.gettempdir()) / f"gostream-ports-{os.getuid()}"
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b", 0)


class Ports:
    """Names to ports. `remembered` is kept up to date, so that saving it makes the choice stick."""

    def __init__(self, remembered: dict[str, int], notice: Callable[[str], None] = lambda _: None) -> None:
        self.remembered = remembered
        self._notice = notice
        self._given: set[int] = set()

    def pick(self, name: str, preferred: int | None = None, usable: Callable[[int], bool] = is_free) -> int:
        """The port for `name`: last time's, else `preferred` or the next free one, else any.

        Says so through `notice` when a port with a preference is not the one expected. That one is not
        claimed: whoever listens there first has it.
        """
        wanted = self.remembered.get(name, preferred)
        port = next(
            (
                port
                for port in self._candidates(wanted, preferred)
                if port not in self._given and usable(port) and (port == wanted or claim(port))
            ),
            None,
        )
        if port is None:
            raise StackError(f"no free port for {name}")
        if preferred is not None and port != wanted:
            self._notice(f"port {wanted} is taken: {name} listens on {port}")
        self._given.add(port)
        self.remembered[name] = port
        return port

    def forget_taken(self) -> None:
        """Choose again, except where the port of last time is free."""
        self._given.clear()
        for name in [name for name, port in self.remembered.items() if not is_free(port)]:
            del self.remembered[name]

    @staticmethod
    def _candidates(wanted: int | None, preferred: int | None) -> list[int]:
        first = [] if wanted is None else [wanted]
        if preferred is None:
            return first + random.sample(ANYWHERE, 200)
        return first + list(range(preferred, preferred + 200))
