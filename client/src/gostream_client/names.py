"""The names of the contract's enums, as callers use them: in lower case, without the prefix."""

from typing import Any

from gostream.v1.video_pb2 import MediaKind, PlaybackPolicy, Video
from gostream.v1.video_service_pb2 import LoudnessTarget
from gostream_client.errors import InvalidInputError


def policy_number(name: str) -> PlaybackPolicy.ValueType:
    """Returns the policy of a name such as "signed"; empty: the server decides. Raises InvalidInputError."""
    number: PlaybackPolicy.ValueType = _number(PlaybackPolicy, "PLAYBACK_POLICY_", name)
    return number


def status_number(name: str) -> Video.Status.ValueType:
    """Returns the status of a name such as "ready"; empty: any. Raises InvalidInputError."""
    number: Video.Status.ValueType = _number(Video.Status, "STATUS_", name)
    return number


def kind_number(name: str) -> MediaKind.ValueType:
    """Returns the kind of a name such as "audio"; empty: any. Raises InvalidInputError."""
    number: MediaKind.ValueType = _number(MediaKind, "MEDIA_KIND_", name)
    return number


def loudness_number(lufs: int) -> LoudnessTarget.ValueType:
    """Returns the target of a loudness such as -16; 0: no change. Raises InvalidInputError."""
    number: LoudnessTarget.ValueType = _number(
        LoudnessTarget, "LOUDNESS_TARGET_", f"lufs-{abs(lufs)}" if lufs else ""
    )
    return number


def kind_name(video: Video) -> str:
    """Returns the kind of a video, such as "audio"; empty if nothing is published."""
    return _name(MediaKind, "MEDIA_KIND_", video.media_kind).lower()


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
