"""What a watch yields, when it ends, and when it opens its stream again; without input and output."""

import random
import sys
from typing import Any

from gostream.v1.event_pb2 import Event
from gostream.v1.video_pb2 import Video
from gostream_client.errors import GoStreamError, ProcessingFailedError, TokenInvalidError, UnreachableError
from gostream_client.names import status_name
from gostream_client.table import Call

TERMINAL = frozenset({Video.STATUS_READY, Video.STATUS_FAILED, Video.STATUS_CANCELLED})
#: Consecutive failures, without a message in between, after which a watch fails.
MAX_FAILURES = 6
#: Seconds without a message after which a stream is opened again; the server sends a state at least every 10
#: s.
IDLE_SECONDS = 30.0
_TRANSIENT = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})


class Reconnects:
    """When a broken stream is opened again."""

    def __init__(self, server: str, *, backoff: float) -> None:
        self._server = server
        self._backoff = backoff
        self._failures = 0
        self._renewed = False
        self._most = MAX_FAILURES

    def note_message(self) -> None:
        """The stream works: forget its failures."""
        self._failures = 0
        self._renewed = False

    def may_renew(self, error: GoStreamError) -> bool:
        """Returns whether a new token may help: once, until a stream delivers a message again."""
        allowed = isinstance(error, TokenInvalidError) and not self._renewed
        self._renewed = self._renewed or allowed
        return allowed

    def delay_after(self, error: GoStreamError | None) -> float:
        """Returns the seconds until the next stream; None: the stream ended early or was silent.

        Raises `error` if a further stream would fail too, or after MAX_FAILURES.
        """
        cause = error or UnreachableError(f"{self._server} ended the stream before its end")
        self._failures += 1
        if self._failures >= self._most or (error is not None and error.code not in _TRANSIENT):
            raise cause
        delay: float = min(IDLE_SECONDS, self._backoff * 2.0 ** min(self._failures - 1, 16))
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 – jitter


class Watch(Reconnects):
    """The state of a watch over all its streams.

    The first message of a stream is the current state, so no final state is lost between two streams.
    """

    def __init__(self, server: str, *, min_version: int, backoff: float) -> None:
        super().__init__(server, backoff=backoff)
        self._min_version = min_version
        self._last: Video | None = None
        self.is_over = False

    def is_news(self, video: Video) -> bool:
        """Returns whether to yield the message of a stream; sets `is_over` after the last one."""
        if video.version < self._min_version:
            return False  # from a replica that does not have the caller's write yet
        self.note_message()
        self.is_over = video.status in TERMINAL
        is_news = video != self._last
        self._last = video
        return is_news


class EventWatch(Reconnects):
    """The state of a watch of events over all its streams: each continues where the one before has broken.

    Once a stream has worked, broken ones are opened again without end.
    """

    def __init__(self, server: str, call: Call[Any], *, backoff: float) -> None:
        super().__init__(server, backoff=backoff)
        self._call = call
        self.is_over = False

    def call(self) -> Call[Any]:
        """Returns the call of the next stream."""
        return self._call

    def is_news(self, event: Event) -> bool:
        """Returns whether the message has an event, and does not just break the silence."""
        self.note_message()
        self._most = sys.maxsize
        request = self._call.request
        request.ClearField("since")
        request.resume_token = event.resume_token
        return bool(event.id)


def raise_if_failed(video: Video) -> None:
    """Raises ProcessingFailedError if processing failed or was cancelled."""
    if video.status not in (Video.STATUS_FAILED, Video.STATUS_CANCELLED):
        return
    if video.status == Video.STATUS_CANCELLED:
        failure = ProcessingFailedError("processing was cancelled", reason=status_name(video))
    else:
        again = "a retry may succeed" if video.error.retryable else "a retry will not help"
        message = video.error.message.rstrip(".") or "processing failed"
        failure = ProcessingFailedError(f"{message}; {again}", reason=video.error.code)
    failure.video = video
    raise failure
