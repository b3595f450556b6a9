"""What was true when: the record that readers in any process are checked against."""

import enum
import mmap
from pathlib import Path
from typing import Self

#: Versions of one key that a run may reach.
MAX_VERSIONS = 1 << 14


class Event(enum.IntEnum):
    """The two moments of a write that a staleness can be counted from."""

    COMMITTED = 0
    ANNOUNCED = 1  # the call that tells the caches returned


class Truth:
    """Since when each version of each key has been out of date, in a file that processes share.

    Moments are of the machine's monotonic clock, which all its processes share. One process writes a key.
    """

    def __init__(self, path: Path, keys: int) -> None:
        self._keys = keys
        with path.open("r+b") as file:
            self._superseded = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")

    @classmethod
    def create(cls, path: Path, keys: int) -> Self:
        """Begin a record in which nothing has happened."""
        path.write_bytes(bytes(len(Event) * keys * MAX_VERSIONS * 8))
        return cls(path, keys)

    def note(self, event: Event, key: int, version: int, moment: float) -> None:
        """`version` was committed or announced at `moment`: every earlier one is out of date since then."""
        if version >= MAX_VERSIONS:
            raise ValueError(f"a run may write at most {MAX_VERSIONS} versions of a key")
        base = self._base(event, key)
        for older in range(version - 1, -1, -1):
            if self._superseded[base + older]:
                return
            self._superseded[base + older] = moment

    def lateness(self, event: Event, key: int, version: int, started: float) -> float:
        """Seconds for which `version` had been out of date when a read began; 0 when it was current."""
        since = self._superseded[self._base(event, key) + version]
        return max(0.0, started - since) if since else 0.0

    def _base(self, event: Event, key: int) -> int:
        return (event * self._keys + key) * MAX_VERSIONS
