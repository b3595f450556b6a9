"""The limits of the read door, and the budgets that limit rates."""

from dataclasses import dataclass

#: Concurrent connections of one process; more are closed at once.
MAX_CONNECTIONS = 10_000
#: Concurrent calls of one connection. Clients queue further calls until one of these ends.
MAX_STREAMS = 256
#: Largest frame that is read, the smallest limit that HTTP/2 allows.
MAX_FRAME = 16 * 1024
#: Largest header list of a call, decoded; as gostream_api.rpc.server has it. A larger one fails the call.
MAX_HEADER_LIST = 16 * 1024
#: Largest header block, encoded and decoded. A larger one ends the connection.
MAX_HEADER_BLOCK = 128 * 1024
#: CONTINUATION frames of one header block.
MAX_CONTINUATIONS = 16
#: DATA frames of one request, whose message has at most 1 MiB.
MAX_DATA_FRAMES = 1024
#: Bytes of unfinished requests of one connection.
MAX_BODIES = 4 * 1024 * 1024
#: Bytes of replies that wait for a connection's flow control before further calls wait too.
MAX_QUEUED = 4 * 1024 * 1024
#: The same of all connections; at this limit, calls are refused.
MAX_QUEUED_IN_ALL = 256 * 1024 * 1024
#: Bytes of replies that are handed to the transport before it may state that its buffer is full.
MAX_TURN = 256 * 1024
#: Ended streams whose late frames h2 recognises.
MAX_CLOSED_STREAMS = 8192

#: HTTP/1.1: bytes of the request line and the headers, and number of headers.
MAX_HEAD = 16 * 1024
MAX_HEADERS = 100
#: HTTP/1.1: received bytes that wait while an earlier request is answered; beyond, nothing is read.
MAX_PIPELINED = 64 * 1024
#: HTTP/1.1: pipelined requests of one client that are answered before it is another one's turn.
MAX_REQUESTS_IN_TURN = 32


@dataclass(frozen=True, slots=True)
class Rate:
    """Events per second after a burst."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of time (seconds) and rates of one connection."""

    #: Calls that expire together are reset together, so two full sets of streams are no attack.
    resets: Rate = Rate(2 * MAX_STREAMS, 100)
    pings: Rate = Rate(100, 20)
    settings: Rate = Rate(20, 1)
    window_updates: Rate = Rate(10_000, 10_000)
    empty_data: Rate = Rate(100, 10)
    #: PRIORITY and frames of unknown types.
    other_frames: Rate = Rate(200, 100)

    #: Until the client's preface, and for receiving the head of one HTTP/1.1 request.
    handshake: float = 10.0
    #: For one JSON request, which usually has no deadline of the client; as Envoy's route has it.
    deadline: float = 15.0
    #: Without a call.
    idle: float = 120.0
    #: Age of a connection (± 10 %), so that clients find new replicas, and the time for its last calls.
    age: float = 300.0
    age_grace: float = 30.0
    #: Without progress of a queued reply.
    stall: float = 30.0
    #: Silence before a ping, and the wait for its reply.
    keepalive: float = 30.0
    keepalive_reply: float = 10.0
    #: Wait for the reply to the ping between the two GOAWAY frames.
    goaway: float = 5.0
    #: HTTP/1.1: without a request before a drain closes the connection.
    quiet: float = 1.0
    #: Between the end of the connection and its reset, if the client does not close it.
    linger: float = 2.0
    #: Between two checks of these times.
    tick: float = 0.5


class Budget:
    """A number of events that grows back with time."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._since = now

    def spend(self, now: float) -> bool:
        """Returns False if no event is left."""
        if self._left < 1:
            earned = (now - self._since) * self._rate.per_second
            self._left = min(float(self._rate.burst), self._left + earned)
            self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
