"""What one line of the edge's log says about a viewer (CTA-5004), from any bytes that a viewer may send."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

#: Longer texts are refused; nginx logs at most 1,024 characters.
LONGEST = 2_048
#: kbit/s; larger numbers are no measurements.
FASTEST = 10_000_000
_PAIR = re.compile(r'([A-Za-z0-9.-]{1,64})(?:=("(?:[^"\\]|\\.)*"|[^",]*))?(?:,|$)')
_NUMBER = re.compile(r"[0-9]{1,8}")
#: The largest rate of a player's ladder in kbit/s, by the name of the bucket.
_BUCKETS = ((1_000, "1m"), (3_000, "3m"), (6_000, "6m"), (12_000, "12m"))


@dataclass(frozen=True, slots=True)
class Report:
    """A request of a player. `session` is for counting only and must not be stored or shown."""

    session: str
    is_start: bool  # `su`: the player needs the object to begin, or to go on
    has_rebuffered: bool  # `bs`: the player has waited since its last request
    throughput: int | None  # `mtp` in kbit/s
    is_media: bool  # a segment, and no playlist
    bucket: str
    at: float  # seconds


def report_of(line: str, at: float) -> Report | None:
    """Returns the report in a line of the log; None if it has none, or none that is sound."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    text = found.get("cmcd") if isinstance(found, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        return None
    pairs = _pairs(unquote(text, errors="replace"))
    session = pairs.get("sid")
    if not isinstance(session, str) or not 0 < len(session) <= 64:
        return None
    return Report(
        session=session,
        is_start=pairs.get("su") is True,
        has_rebuffered=pairs.get("bs") is True,
        throughput=_number(pairs.get("mtp")),
        is_media=pairs.get("ot") in ("v", "a", "av"),
        bucket=_bucket(_number(pairs.get("tb"))),
        at=at,
    )


def _pairs(text: str) -> dict[str, Any]:
    """Returns the pairs before the first one that is malformed. A key alone is True."""
    found: dict[str, Any] = {}
    position = 0
    while position < len(text) and (pair := _PAIR.match(text, position)):
        key, value = pair.groups()
        found[key] = True if value is None else value.strip('"')
        position = pair.end()
    return found


def _number(value: Any) -> int | None:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or int(value) > FASTEST:
        return None
    return int(value)


def _bucket(top: int | None) -> str:
    if not top:
        return "unknown"
    return next((name for most, name in _BUCKETS if top <= most), "more")
