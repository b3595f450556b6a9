"""Ids of videos: UUID version 7 (RFC 9562 §5.7), which sort by time and cannot be guessed."""

import secrets
import time
from uuid import UUID

_VARIANT = 0b10 << 62
_VERSION = 7 << 76


def new_id() -> UUID:
    """Returns 48 bits of Unix milliseconds and 74 random bits. The order within a millisecond is random."""
    milliseconds = time.time_ns() // 1_000_000
    rand_a, rand_b = secrets.randbits(12), secrets.randbits(62)
    return UUID(int=milliseconds << 80 | _VERSION | rand_a << 64 | _VARIANT | rand_b)
