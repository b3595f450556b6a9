"""The time of the Redis server, estimated between the replies that state it."""

from collections.abc import Callable
from time import monotonic

#: Seconds for which a statement is used: bounds the effect of a step of the server's clock.
_MAX_AGE = 10.0


class ServerClock:
    """Estimates the server's time in milliseconds, late by at most the delay of the reply that stated it.

    Only the age of entries is judged by it, never their version.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._epoch: int | None = None
        self._stated = self._heard = 0.0

    def learn(self, epoch: int, milliseconds: float) -> None:
        """Note the time that the server of `epoch` stated in a reply that arrived now."""
        self._epoch, self._stated, self._heard = epoch, milliseconds, self._clock()

    def now(self, epoch: int) -> float | None:
        """Returns the time of the server of `epoch`; None without a recent statement of this server."""
        since = self._clock() - self._heard
        return self._stated + since * 1000 if epoch == self._epoch and since <= _MAX_AGE else None
