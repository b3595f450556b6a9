"""Bus messages, as text: `change|sequence|ms|video id|version`, `beat|sequence|ms|nonce|server`."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Change:
    """A changed video, published by `announce.lua` at `time` (the server's clock, in seconds)."""

    sequence: int
    time: float
    video_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat, published by `beat.lua` for the process that created `nonce`."""

    sequence: int
    time: float
    nonce: str
    server: str


def parse_message(text: str) -> Change | Heartbeat | None:
    """Parse a message. Returns None for unknown text, which a newer release may send."""
    try:
        kind, sequence, ms, first, second = text.split("|")
        if kind == "change":
            return Change(int(sequence), int(ms) / 1000, UUID(first), int(second))
        if kind == "beat":
            return Heartbeat(int(sequence), int(ms) / 1000, first, second)
    except ValueError:
        return None
    return None
