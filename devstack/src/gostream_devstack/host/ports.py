"""Chooses a port for each server: the usual one, else the next free one, and the same next time."""

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
# Below the kernel's ephemeral range, so that no outgoing connection can take a chosen port.
ANYWHERE = range(10_000, 32_768)


def is_free(port: int) -> bool:
    """Returns whether a server could bind `port` on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def claim(port: int) -> bool:
    """Returns whether this process now holds `port` against other test runs.

    A chosen port is free until its server listens, so a concurrent test run could choose it too. Without a
    lock file, falls back to an unclaimed free port.
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
    """Opens the lock file. It stays empty: each port is a byte that can be locked."""
    path = Path(tempfile.gettempdir()) / f"gostream-ports-{os.getuid()}"
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b", 0)


class Ports:
    """Maps names to ports. `remembered` is updated, and saving it makes the choice persistent."""

    def __init__(self, remembered: dict[str, int], notice: Callable[[str], None] = lambda _: None) -> None:
        self.remembered = remembered
        self._notice = notice
        self._given: set[int] = set()

    def pick(self, name: str, preferred: int | None = None, usable: Callable[[int], bool] = is_free) -> int:
        """Returns the port for `name`: the previous one, else `preferred` or the next free one, else any.

        Reports through `notice` if a port with a preference differs from it. The preferred port is not
        claimed: the first program to listen there has it.
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
        """Forgets all choices except remembered ports that are free."""
        self._given.clear()
        for name in [name for name, port in self.remembered.items() if not is_free(port)]:
            del self.remembered[name]

    @staticmethod
    def _candidates(wanted: int | None, preferred: int | None) -> list[int]:
        first = [] if wanted is None else [wanted]
        if preferred is None:
            return first + random.sample(ANYWHERE, 200)
        return first + list(range(preferred, preferred + 200))
