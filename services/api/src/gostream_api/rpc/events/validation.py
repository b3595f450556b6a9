"""Validates requests of EventService. Each function raises one InvalidRequestError with all violations."""

from collections.abc import Sequence

from gostream.v1 import event_service_pb2
from gostream_api.rpc import validation
from gostream_api.rpc.fields import limits, times
from gostream_api.rpc.fields.check import Check
from gostream_shared.domain.companions.events import EVENT_TYPES, EventFilter

#: Events of a page: each may have its whole video, and gRPC's clients accept 4 MiB.
MAX_PAGE_SIZE = 200
#: The types that one call may ask for.
MOST_TYPES = 32
#: Longest token that is examined.
MAX_TOKEN = 128


def list_events(request: event_service_pb2.ListEventsRequest) -> tuple[EventFilter, int]:
    """Returns the filter and the page size, which is limited to MAX_PAGE_SIZE."""
    check = Check()
    check.that(request.page_size >= 0, "page_size", "must not be negative")
    which = _filter(check, request)
    check.end()
    return which, min(request.page_size or limits.DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def watch_events(request: event_service_pb2.WatchEventsRequest) -> EventFilter:
    check = Check()
    check.that(
        len(request.resume_token) <= MAX_TOKEN, "resume_token", f"must have at most {MAX_TOKEN} characters"
    )
    check.that(
        not (request.resume_token and request.HasField("since")),
        "since",
        "must be absent if resume_token is set",
    )
    which = _filter(check, request)
    check.end()
    return which


def event_types(check: Check, types: Sequence[str], name: str = "types") -> frozenset[str]:
    """Returns the types; adds at most one violation to `check`."""
    known = ", ".join(EVENT_TYPES)
    check.that(
        len(types) <= MOST_TYPES and all(each in EVENT_TYPES for each in types),
        name,
        f"must be at most {MOST_TYPES} of: {known}",
    )
    return frozenset(types)


def _filter(
    check: Check, request: event_service_pb2.ListEventsRequest | event_service_pb2.WatchEventsRequest
) -> EventFilter:
    check.text(request.user_id, "user_id", at_most=limits.MAX_USER_ID)
    video_id = validation.canonical_id(request.video_id)
    check.that(
        video_id is not None or not request.video_id,
        "video_id",
        "must be a UUID in its canonical lower-case form",
    )
    return EventFilter(
        user_id=request.user_id or None,
        types=event_types(check, request.types),
        video_id=video_id,
        since=times.bound(check, request.since, "since") if request.HasField("since") else None,
    )
