"""Why a backend could not be used, for the operator's log: clients only learn that it could not."""

from time import monotonic

import structlog

_log = structlog.stdlib.get_logger("gostream.backend")

#: Seconds between two lines about the same failure of the same backend.
INTERVAL = 10.0

_servers: dict[str, str] = {}
_noted: dict[tuple[str, str], float] = {}
_unsaid: dict[tuple[str, str], int] = {}


def name_server(backend: str, server: str) -> None:
    """What this process calls by the name `backend`: an address, without passwords."""
    _servers[backend] = server


def server_of(backend: str) -> str:
    """What `name_server` said, or an empty string."""
    return _servers.get(backend, "")


def note_cause(backend: str, kind: str, cause: str) -> None:
    """Log `cause`, at most once in INTERVAL seconds for that kind of failure of that backend.

    `kind` is one of few, such as a SQLSTATE or a driver's class: what is remembered is bounded by it.
    """
    key, now = (backend, kind), monotonic()
    if now - _noted.get(key, -INTERVAL) < INTERVAL:
        _unsaid[key] = _unsaid.get(key, 0) + 1
        return
    _noted[key] = now
    unsaid = _unsaid.pop(key, 0)
    _log.warning(
        "backend failed", backend=backend, server=server_of(backend), cause=cause, failures_not_logged=unsaid
    )
