"""Times of requests."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from gostream_api.rpc.fields.check import Check
from gostream_api.rpc.fields.limits import MAX_LIFETIME

_MICROSECOND = timedelta(microseconds=1)


def bound(check: Check, given: Timestamp, name: str) -> datetime | None:
    """Returns the bound of a listing, rounded up to the microseconds that the database stores.

    So exactly the videos below `given` are below the bound.
    """
    found = _time(check, given, name)
    if found is not None and given.nanos % 1000 and found < datetime.max.replace(tzinfo=UTC):
        return found + _MICROSECOND
    return found


def expiry(check: Check, given: Timestamp, name: str) -> datetime | None:
    """Returns the expiry time of a video, to the microsecond."""
    found, now = _time(check, given, name), datetime.now(UTC)
    if found is not None:
        check.that(found > now, name, "must be in the future")
        check.that(found <= now + MAX_LIFETIME, name, f"must be at most {MAX_LIFETIME.days} days from now")
    return found


def _time(check: Check, given: Timestamp, name: str) -> datetime | None:
    """Returns None after adding a violation to `check`."""
    try:
        return given.ToDatetime(UTC)
    except (OverflowError, ValueError):
        check.that(False, name, "must be a time between the years 1 and 9999")
        return None
