"""The loudness targets of requests."""

from gostream_shared.domain.videos.loudness import LoudnessTarget

#: By the numbers of the contract, which has them in this order; 0 is no change.
_TARGETS = dict(enumerate(LoudnessTarget, start=1))


def is_loudness(number: int) -> bool:
    """Returns whether a request may have this number."""
    return number == 0 or number in _TARGETS


def loudness_of(number: int) -> LoudnessTarget | None:
    """Returns the target of a valid number; None for no change."""
    return _TARGETS.get(number)
