"""The use cases of EventService, independent of gRPC and of drivers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gostream_api.events.tokens import page_position_of, page_token
from gostream_api.principal import Principal
from gostream_shared.domain.companions.events import Event, EventFilter, Events
from gostream_shared.domain.repositories import VideoRepository
from gostream_shared.domain.video import Video


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event with its current video; None if the video was deleted or has another owner now."""

    event: Event
    video: Video | None


class EventService:
    """Listings of events. Every method raises BackendUnavailableError."""

    def __init__(self, events: Events, videos: VideoRepository) -> None:
        self._events = events
        self._videos = videos

    async def list_events(
        self, caller: Principal, which: EventFilter, *, page_size: int, token: str
    ) -> tuple[list[SeenEvent], str]:
        """Returns a page of settled events, the oldest first, and the token of the next page.

        Raises InvalidRequestError for the `user_id` of another owner, PageTokenInvalidError and
        ResumeTokenExpiredError.
        """
        which = replace(which, user_id=caller.owner_listed(which.user_id))
        after = page_position_of(token, which) if token else None
        page = await self._events.read(which, after=after, limit=page_size)
        seen = await with_videos(self._videos, page.events)
        return seen, page_token(page.end, which) if page.has_more else ""


async def with_videos(videos: VideoRepository, events: Sequence[Event]) -> list[SeenEvent]:
    """Adds the videos. Raises BackendUnavailableError."""
    if not events:
        return []
    found = await videos.get_many(list({event.video_id for event in events}))
    seen = []
    for event in events:
        video = found.get(event.video_id)
        is_theirs = video is not None and video.user_id == event.user_id
        seen.append(SeenEvent(event, video if is_theirs else None))
    return seen
