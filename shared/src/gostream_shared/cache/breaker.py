"""A circuit breaker: after a few consecutive failures, calls to Redis fail at once until a probe succeeds."""

from collections.abc import Callable
from time import monotonic


class Breaker:
    """Closed while calls succeed; open for `cooldown` seconds after `threshold` consecutive failures.

    The first call after the cooldown is the probe. All other calls are rejected until the probe ends.
    """

    def __init__(
        self, *, threshold: int = 3, cooldown: float = 2.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """True if the latest `threshold` calls failed."""
        return self._failures >= self._threshold

    def admit(self) -> bool:
        """Returns True if a call may be sent. An open breaker admits one probe per cooldown."""
        if not self.is_open:
            return True
        if self._clock() < self._open_until:
            return False
        self._open_until = self._clock() + self._cooldown
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._cooldown
