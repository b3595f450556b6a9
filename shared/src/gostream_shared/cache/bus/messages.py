"""What goes over the bus, as text: `change|sequence|ms|video id|version`, `beat|sequence|ms|nonce|server`."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Change:
    """A video changed: `invalidate.lua` published it at `time` (the server's, in seconds)."""

    sequence: int
    time: float
    video_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The bus is alive: `beat.lua` published it for the process that made up `nonce`."""

    sequence: int
    time: float
    nonce: str
    server: str


def parse_message(text: str) -> Change | Heartbeat | None:
    """None for text that is not ours: a newer release may say more."""
    try:
        kind, sequence, ms, first, second = text.split("|")
        if kind == "change":
            return Change(int(sequence), int(ms) / 1000, UUID(first), int(second))
        if kind == "beat":
            return Heartbeat(int(sequence), int(ms) / 1000, first, second)
    except ValueError:
        return None
    return None
