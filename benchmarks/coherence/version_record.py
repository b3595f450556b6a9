"""The record of versions over time, against which all processes check reads."""

import enum
import mmap
from pathlib import Path
from typing import Self

#: Limit of versions per key in a run.
MAX_VERSIONS = 1 << 14


class Event(enum.IntEnum):
    """The two moments of a write from which staleness is counted."""

    COMMITTED = 0
    ANNOUNCED = 1  # the announcing call returned


class Truth:
    """The times since which each version of each key is stale, in a shared file.

    Times are of the machine's monotonic clock, which all processes share. Each key has one writer process.
    """

    def __init__(self, path: Path, keys: int) -> None:
        self._keys = keys
        with path.open("r+b") as file:
            self._superseded = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")

    @classmethod
    def create(cls, path: Path, keys: int) -> Self:
        """Creates an empty record."""
        path.write_bytes(bytes(len(Event) * keys * MAX_VERSIONS * 8))
        return cls(path, keys)

    def note(self, event: Event, key: int, version: int, moment: float) -> None:
        """Records the moment of `version`, from which on earlier versions are stale."""
        if version >= MAX_VERSIONS:
            raise ValueError(f"a run may write at most {MAX_VERSIONS} versions of a key")
        base = self._base(event, key)
        for older in range(version - 1, -1, -1):
            if self._superseded[base + older]:
                return
            self._superseded[base + older] = moment

    def lateness(self, event: Event, key: int, version: int, started: float) -> float:
        """Returns the staleness of `version` in seconds when the read began; 0 if it was current."""
        since = self._superseded[self._base(event, key) + version]
        return max(0.0, started - since) if since else 0.0

    def _base(self, event: Event, key: int) -> int:
        return (event * self._keys + key) * MAX_VERSIONS
