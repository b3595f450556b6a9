"""Decides whether L1 entries may be served: a pure state machine over the messages of the bus."""

import enum
import math
import secrets
from collections.abc import Callable

from gostream_shared.cache.bus.messages import Change, Heartbeat
from gostream_shared.cache.protocol import Beat

#: Seconds of silence after which the bus counts as dead: the bound on staleness while it is disconnected.
MAX_SILENCE = 3.0


class Loss(enum.StrEnum):
    """The reason for clearing L1."""

    DISCONNECTED = "disconnected"
    SUBSCRIBED = "subscribed"  # a new connection, or a reconnection by the driver
    GAP = "gap"  # a sequence number is missing
    SERVER = "server"  # commands or heartbeats come from another server than before
    SILENCE = "silence"
    EPOCH = "epoch"  # the cache epoch changed
    UNANNOUNCED = "unannounced"  # more videos are in the outbox than the limit of unannounced versions


class Liveness:
    """Live while proven and not silent.

    Proven: this process sent a nonce over its command connection and received it over its subscription, so
    both connections reach the same server and the channel is right. Silence is measured from the time at
    which the latest message was *published*, by the server's clock, so delayed messages do not extend
    liveness.
    """

    def __init__(self, clock: Callable[[], float], *, max_silence: float = MAX_SILENCE) -> None:
        self._clock = clock
        self._max_silence = max_silence
        self._offset: float | None = None  # the server's clock minus ours
        self._server: str | None = None
        self.until = -math.inf  # live before that moment
        self.restart()

    def restart(self) -> None:
        """Discard the proof: the connection was lost or established."""
        self.nonce = secrets.token_hex(8)
        self.proven = False
        self.until = -math.inf
        self._sequence: int | None = None
        self._latest: float | None = None  # when the latest message was published, by the server's clock
        self._since = self._clock()

    @property
    def patience(self) -> float:
        """The time at which the connection counts as lost unless a message arrives."""
        return self.until if self.proven else self._since + self._max_silence

    def synchronise(self, beat: Beat, *, sent: float) -> Loss | None:
        """Record the reply to a heartbeat sent at `sent` (our clock). Returns the loss that it reveals."""
        # The server read its clock after `sent`, so converted publication times are never too late.
        self._offset = beat.time - sent
        known, self._server = self._server, beat.server
        if known not in (None, beat.server):
            self.restart()
            return Loss.SERVER
        self._extend()
        return None

    def age(self, message: Change | Heartbeat) -> float | None:
        """Returns the seconds since a message was published; None while the server's clock is unknown."""
        if self._offset is None:
            return None
        return max(0.0, self._clock() - (message.time - self._offset))

    def _extend(self) -> None:
        if self.proven and self._latest is not None and self._offset is not None:
            self.until = self._latest - self._offset + self._max_silence

    def receive(self, message: Change | Heartbeat) -> Loss | None:
        """Record a message. Returns the loss that it reveals."""
        if isinstance(message, Heartbeat) and self._server not in (None, message.server):
            self.restart()
            return Loss.SERVER
        expected = None if self._sequence is None else self._sequence + 1
        self._sequence = message.sequence
        self._latest = message.time
        if isinstance(message, Heartbeat) and message.nonce == self.nonce:
            self.proven = True
        self._extend()
        return Loss.GAP if expected not in (None, message.sequence) else None
