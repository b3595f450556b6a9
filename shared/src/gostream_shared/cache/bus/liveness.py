"""Whether local entries may be trusted now: a pure state machine over what was heard of the bus."""

import enum
import math
import secrets
from collections.abc import Callable

from gostream_shared.cache.bus.messages import Change, Heartbeat
from gostream_shared.cache.protocol import Beat

#: Seconds without news after which a bus is taken for dead: the bound on staleness while it is cut.
MAX_SILENCE = 3.0


class Loss(enum.StrEnum):
    """Why everything local was thrown away."""

    DISCONNECTED = "disconnected"
    SUBSCRIBED = "subscribed"  # a new connection, or the driver reconnected by itself
    GAP = "gap"  # a sequence number is missing
    SERVER = "server"  # commands or beats come from another server than before
    SILENCE = "silence"
    EPOCH = "epoch"  # the namespace epoch changed
    UNANNOUNCED = "unannounced"  # more videos wait in the outbox than are kept track of


class Liveness:
    """Live while proven and not silent.

    Proven: a nonce that this process sent through its command connection came back over its subscription, so
    both reach the same server and the channel is the right one. Silence is counted from the moment a message
    was *published*, told by the server's clock, so messages that arrive late keep nothing alive.
    """

    def __init__(self, clock: Callable[[], float], *, max_silence: float = MAX_SILENCE) -> None:
        self._clock = clock
        self._max_silence = max_silence
        self._offset: float | None = None  # the server's clock minus ours
        self._server: str | None = None
        self.until = -math.inf  # live before that moment
        self.restart()

    def restart(self) -> None:
        """Nothing is proven any more: the connection was lost, or made."""
        self.nonce = secrets.token_hex(8)
        self.proven = False
        self.until = -math.inf
        self._sequence: int | None = None
        self._latest: float | None = None  # when the latest message was published, by the server's clock
        self._since = self._clock()

    @property
    def patience(self) -> float:
        """The moment at which the connection is to be given up unless something is heard."""
        return self.until if self.proven else self._since + self._max_silence

    def synchronise(self, beat: Beat, *, sent: float) -> Loss | None:
        """Note the answer to a heartbeat sent at `sent` (our clock)."""
        # The server read its clock after `sent`, so a publication dated with this is never dated too late.
        self._offset = beat.time - sent
        known, self._server = self._server, beat.server
        if known not in (None, beat.server):
            self.restart()
            return Loss.SERVER
        self._extend()
        return None

    def age(self, message: Change | Heartbeat) -> float | None:
        """Seconds since a message was published; None while the server's clock is not known."""
        if self._offset is None:
            return None
        return max(0.0, self._clock() - (message.time - self._offset))

    def _extend(self) -> None:
        if self.proven and self._latest is not None and self._offset is not None:
            self.until = self._latest - self._offset + self._max_silence

    def heard(self, message: Change | Heartbeat) -> Loss | None:
        """Note a message; answer the loss that it reveals."""
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
