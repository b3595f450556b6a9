"""When a delivery is tried again, and when no more."""

import random
from datetime import timedelta

#: The pauses after each failed try: 75 h 36 min in all, before the random part.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
#: The age at which a delivery ends even if tries are left, because its webhook was paused or disabled.
LONGEST = sum(PAUSES, timedelta()) * 1.25


def pause_after(attempt: int) -> timedelta | None:
    """Returns the time from the failed try to the next one, ±20 %; None after the last. Tries begin at 1."""
    if attempt > len(PAUSES):
        return None
    return PAUSES[attempt - 1] * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
