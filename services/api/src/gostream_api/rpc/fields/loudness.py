"""The loudness targets of requests."""

from gostream.v1.video_service_pb2 import LoudnessTarget as Target
from gostream_shared.domain.loudness import LoudnessTarget

_TARGETS = {int(Target.Value(f"LOUDNESS_TARGET_{target}")): target for target in LoudnessTarget}


def is_loudness(number: int) -> bool:
    """Returns whether a request may have this number."""
    return number == 0 or number in _TARGETS


def loudness_of(number: int) -> LoudnessTarget | None:
    """Returns the target of a valid number; None for no change."""
    return _TARGETS.get(number)
