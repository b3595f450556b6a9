"""Checks the options of an encode."""

from collections.abc import Callable
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from gostream.v1 import video_service_pb2
from gostream_api.rpc.fields import limits
from gostream_shared.domain.videos.options import DOWNLOADS, SHORTEST_CLIP, EncodeOptions

#: Records a violation of a field unless the condition holds.
Require = Callable[[bool, str, str], None]


def encode_options(require: Require, options: video_service_pb2.ProcessOptions, name: str) -> EncodeOptions:
    """Returns the options besides the profile. Whether a time is within the source is not known yet."""
    start = _time(require, options, "start", name)
    end = _time(require, options, "end", name)
    poster_at = _time(require, options, "poster_offset", name)
    begin = start or timedelta(0)
    if end is not None:
        least = f"must be at least {SHORTEST_CLIP.seconds} s after start"
        require(end - begin >= SHORTEST_CLIP, f"{name}.end", least)
        if poster_at is not None:
            require(poster_at < end - begin, f"{name}.poster_offset", "must be less than end - start")
    wanted = list(options.downloads)
    known = set(wanted) <= set(DOWNLOADS) and len(set(wanted)) == len(wanted)
    require(known, f"{name}.downloads", f"must name each of {', '.join(DOWNLOADS)} at most once")
    return EncodeOptions(
        start=start or None,
        end=end,
        poster_at=poster_at,
        downloads=tuple(kind for kind in DOWNLOADS if kind in wanted),
    )


def _time(
    require: Require, options: video_service_pb2.ProcessOptions, field: str, name: str
) -> timedelta | None:
    """Returns a time of a film; None if it is absent or wrong."""
    if not options.HasField(field):  # type: ignore[arg-type]
        return None
    given: Duration = getattr(options, field)
    most = limits.MAX_FILM_TIME
    is_within = 0 <= given.seconds <= most.total_seconds() and 0 <= given.nanos < 10**9
    require(is_within, f"{name}.{field}", f"must be 0 s to {most.days} days")
    if not is_within:
        return None
    return timedelta(seconds=given.seconds, microseconds=given.nanos // 1000)
