"""The names of statuses and policies, as callers use them: in lower case, without the contract's prefix."""

from typing import Any

from gostream.v1.video_pb2 import PlaybackPolicy, Video
from gostream_client.errors import InvalidInputError


def policy_number(name: str) -> PlaybackPolicy.ValueType:
    """Returns the policy of a name such as "signed"; empty: the server decides. Raises InvalidInputError."""
    number: PlaybackPolicy.ValueType = _number(PlaybackPolicy, "PLAYBACK_POLICY_", name)
    return number


def status_number(name: str) -> Video.Status.ValueType:
    """Returns the status of a name such as "ready"; empty: any. Raises InvalidInputError."""
    number: Video.Status.ValueType = _number(Video.Status, "STATUS_", name)
    return number


def policy_name(video: Video) -> str:
    """Returns the policy of a video, such as "signed"; empty if this release does not know it."""
    return _name(PlaybackPolicy, "PLAYBACK_POLICY_", video.playback_policy).lower()


def status_name(video: Video) -> str:
    """Returns the status without its prefix, such as "READY"; its number if this release does not know it."""
    return _name(Video.Status, "STATUS_", video.status) or str(video.status)


def _number(enum: Any, prefix: str, name: str) -> Any:
    if not name:
        return 0
    known = enum.keys()
    if (found := prefix + name.upper().replace("-", "_")) not in known:
        names = ", ".join(each.removeprefix(prefix).lower() for each in known if enum.Value(each))
        raise InvalidInputError(f"{name!r} is none of: {names}")
    return enum.Value(found)


def _name(enum: Any, prefix: str, number: int) -> str:
    name = str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else ""
    return "" if name == "UNSPECIFIED" else name
