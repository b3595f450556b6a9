"""WatchEvents: streams of events that lose nothing across reconnects."""

import math
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from time import monotonic

from gostream_api.events.event_service import SeenEvent, with_videos
from gostream_api.events.tail import EventTail
from gostream_api.events.tokens import position_of, resume_token
from gostream_api.principal import Principal
from gostream_api.waits import Waits
from gostream_shared.domain.companions.events import EventFilter, EventPosition, Events
from gostream_shared.domain.errors import UnauthenticatedError
from gostream_shared.domain.repositories import VideoRepository

#: Seconds of silence after which a message without an event is sent.
HEARTBEAT = 10.0
#: Seconds between two looks while the tail does not follow the log.
_POLL = 1.0
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Message:
    """An event, or None to break the silence. `token` resumes the stream after this message."""

    seen: SeenEvent | None
    token: str


class EventWatches:
    """Streams of events for any number of clients."""

    def __init__(
        self, events: Events, videos: VideoRepository, tail: EventTail, *, heartbeat: float = HEARTBEAT
    ) -> None:
        self._events = events
        self._videos = videos
        self._tail = tail
        self._heartbeat = heartbeat
        self._waits = Waits()

    def stop(self) -> None:
        """End every stream, now and later, with ServerStoppingError."""
        self._waits.stop()

    async def watch(
        self, caller: Principal, which: EventFilter, *, token: str = ""
    ) -> AsyncGenerator[Message, None]:
        """Yield every settled event after the token at the reader's pace, and a message after each silence.

        Without a token, begins with the events since `which.since`, or else with the next event. Raises
        InvalidRequestError, ResumeTokenInvalidError, ResumeTokenExpiredError, UnauthenticatedError when the
        caller's credential expires, BackendUnavailableError and ServerStoppingError.
        """
        which = replace(which, user_id=caller.owner_listed(which.user_id))
        position = position_of(token) if token else None
        async with self._tail.watched():
            if position is None and which.since is None:
                position = await self._events.end()
                yield Message(None, resume_token(position))
                spoke_at = monotonic()
            else:  # a client that comes back learns at once that it has missed nothing more
                spoke_at = -math.inf
            while True:
                seen, end, has_more = await self._next(which, position)
                position = end
                for each in seen:
                    yield Message(each, resume_token(each.event.position))
                if time.time() >= caller.expires_at:
                    raise UnauthenticatedError("the token expired during the watch")
                silence = monotonic() - spoke_at
                if seen:
                    spoke_at = monotonic()
                elif silence >= self._heartbeat:
                    yield Message(None, resume_token(end))
                    spoke_at = monotonic()
                elif not has_more:
                    await self._wait(min(_POLL, self._heartbeat - silence, caller.expires_at - time.time()))

    async def _next(
        self, which: EventFilter, position: EventPosition | None
    ) -> tuple[list[SeenEvent], EventPosition, bool]:
        """Returns the next events of the filter, the position after them, and whether there are more."""
        kept = self._tail.after(position) if position is not None else None
        if kept is not None:
            return [each for each in kept[0] if which.admits(each.event)], kept[1], False
        page = await self._events.read(which, after=position, limit=_BATCH)
        seen = await with_videos(self._videos, page.events)
        newer = self._tail.after(page.end)
        return seen, page.end, page.has_more or bool(newer and newer[0])

    async def _wait(self, seconds: float) -> None:
        await self._waits.until_stop(self._tail.change(at_most=max(0.01, seconds)))
