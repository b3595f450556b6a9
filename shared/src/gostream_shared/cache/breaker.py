"""A circuit breaker: after a few failures in a row nobody waits for Redis until a probe succeeds."""

from collections.abc import Callable
from time import monotonic


class Breaker:
    """Closed while calls succeed; open for `cooldown` seconds after `threshold` failures in a row.

    Whoever calls after the cooldown is the probe, and only one: the others are refused until its outcome.
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
        """Whether the latest calls failed."""
        return self._failures >= self._threshold

    def admit(self) -> bool:
        """Whether to try. True for the probe of an open breaker, once a cooldown."""
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
