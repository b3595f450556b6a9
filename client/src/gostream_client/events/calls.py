"""The calls of events, as the module `calls` has those of videos."""

from collections.abc import Sequence
from datetime import datetime

from gostream.v1.event_pb2 import Event
from gostream.v1.event_service_pb2 import ListEventsRequest, ListEventsResponse, WatchEventsRequest
from gostream_client import table
from gostream_client.calls.videos import moment, several
from gostream_client.table import Call


def list_events_page(
    *,
    types: Sequence[str] = (),
    user_id: str = "",
    video_id: str = "",
    since: datetime | None = None,
    page_size: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> Call[ListEventsResponse]:
    """Returns one page of events, the oldest first, with the token of the next page. All filters must match.

    `types`: such as "video.ready"; empty for all. `since`: that time or later, with a time zone. `page_size`:
    at most 200; 0 for 50.
    """
    request = ListEventsRequest(
        types=several("types", types),
        user_id=user_id,
        video_id=video_id,
        since=moment("since", since),
        page_size=page_size,
        page_token=page_token,
    )
    return Call(table.LIST_EVENTS, request, timeout)


def watch_events(
    *,
    resume_token: str = "",
    types: Sequence[str] = (),
    user_id: str = "",
    video_id: str = "",
    since: datetime | None = None,
) -> Call[Event]:
    """Yields events as they happen, without an end.

    `resume_token` of the last event that was handled: continues after it and loses none; otherwise `since`, a
    time with a time zone, or the next event. Filters as for list_events_page(). Opens another stream, with
    the token of the last message, if one breaks or is silent for 30 s. Raises ResumeTokenExpiredError if the
    server no longer has the events after the token, and other GoStreamErrors if it refuses the call, or if
    the first stream cannot be opened after some tries.
    """
    request = WatchEventsRequest(
        resume_token=resume_token,
        types=several("types", types),
        user_id=user_id,
        video_id=video_id,
        since=moment("since", since),
    )
    return Call(table.WATCH_EVENTS, request, None)
