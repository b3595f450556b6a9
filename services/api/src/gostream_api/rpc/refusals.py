"""Log lines about refused callers: no valid token, a missing scope, or another owner's video."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import structlog

from gostream_shared.domain.errors import OthersVideoError, ScopeMissingError, UnauthenticatedError

#: Seconds of a window, and the lines for each reason in it.
WINDOW = 10.0
LINES = 10

_log = structlog.stdlib.get_logger("gostream.trail")
_REASONS: dict[type[Exception], str] = {
    UnauthenticatedError: "TOKEN_INVALID",
    ScopeMissingError: "SCOPE_MISSING",
    OthersVideoError: "NOT_OWNER",
}


@dataclass(slots=True)
class _Window:
    ends: float
    lines: int = 0
    not_logged: int = 0


class Refusals:
    """Logs at most LINES refusals for each reason and WINDOW. The next line has the number of the others."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def note(self, error: Exception, *, peer: str = "") -> None:
        """Log the error if it refuses a caller. The log context adds request id, method and subject."""
        reason = _REASONS.get(type(error))
        if reason is None:
            return
        now = self._clock()
        window = self._windows.get(reason)
        not_logged = 0
        if window is None or now >= window.ends:
            not_logged = window.not_logged if window else 0
            window = self._windows[reason] = _Window(now + WINDOW)
        if window.lines >= LINES:
            window.not_logged += 1
            return
        window.lines += 1
        fields = {"peer": peer, "principal": getattr(error, "principal", "")}
        known = {name: value for name, value in fields.items() if value}
        _log.info("refused", reason=reason, not_logged=not_logged, **known)


#: Of this process.
REFUSALS = Refusals()
