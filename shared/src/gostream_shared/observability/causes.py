"""Logs the causes of backend failures for operators. Clients only learn that a backend is unavailable."""

from time import monotonic

import structlog

_log = structlog.stdlib.get_logger("gostream.backend")

#: Seconds between two lines about the same failure of the same backend.
INTERVAL = 10.0

_servers: dict[str, str] = {}
_noted: dict[tuple[str, str], float] = {}
_suppressed: dict[tuple[str, str], int] = {}


def name_server(backend: str, server: str) -> None:
    """Set the server address that the log shows for `backend`. It must not contain passwords."""
    _servers[backend] = server


def server_of(backend: str) -> str:
    """Returns the address set by `name_server`, or an empty string."""
    return _servers.get(backend, "")


def note_cause(backend: str, kind: str, cause: str) -> None:
    """Log `cause`, at most once per INTERVAL seconds for each backend and kind of failure.

    `kind` must have few values, such as a SQLSTATE or a driver's error class, because each one is kept.
    """
    key, now = (backend, kind), monotonic()
    if now - _noted.get(key, -INTERVAL) < INTERVAL:
        _suppressed[key] = _suppressed.get(key, 0) + 1
        return
    _noted[key] = now
    suppressed = _suppressed.pop(key, 0)
    _log.warning(
        "backend failed",
        backend=backend,
        server=server_of(backend),
        cause=cause,
        failures_not_logged=suppressed,
    )
