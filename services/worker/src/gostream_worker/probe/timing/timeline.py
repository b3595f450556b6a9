"""A common clock for all tracks of a container whose timestamps may jump. Pure.

A step in one track is a pause of that track. It is a clock jump only if every track makes it.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

#: Seconds between packets of one track beyond which ffmpeg corrects the clock (`-dts_delta_threshold`).
USUAL_LIMIT = 10
_BACKWARDS = Fraction(-1, 10)


@dataclass(slots=True)
class _Track:
    now: Fraction  # timestamp of the last packet, as stored
    lasts: Fraction
    offset: Fraction  # from stored timestamps to the common clock

    @property
    def end(self) -> Fraction:
        return self.now + self.lasts + self.offset


class Timeline:
    """Follows the packets of all tracks in file order. Times in seconds."""

    def __init__(self, start: Fraction, *, limit: int = USUAL_LIMIT) -> None:
        self._start = start
        self._limit = limit
        self._tracks: dict[int, _Track] = {}
        self._ends: dict[int, Fraction] = {}
        self._latest: int | None = None
        self.longest_pause = Fraction(0)  # of one track while another one continued
        self.set_back = Fraction(0)  # largest step backwards
        self.has_jumps = False  # of the clock

    def take(self, index: int, time: Fraction, lasts: Fraction) -> None:
        """Adds a packet of that track."""
        track = self._tracks.get(index)
        if track is None:
            latest = self._tracks.get(self._latest) if self._latest is not None else None
            offset = latest.offset if latest else -self._start
            track = self._tracks[index] = _Track(time, lasts, offset)
        else:
            step = time - track.now
            self.set_back = max(self.set_back, -step)
            if not _BACKWARDS <= step <= self._limit:
                self._correct(index, track, time, step)
            elif step > USUAL_LIMIT:
                self.longest_pause = max(self.longest_pause, step)
            track.now, track.lasts = time, lasts
        self._latest = index
        self._ends[index] = max(track.end, self._ends.get(index, track.end))

    def end(self, index: int) -> float | None:
        """Returns when that track ends; None if it has no packets."""
        return float(self._ends[index]) if index in self._ends else None

    def _correct(self, index: int, track: _Track, time: Fraction, step: Fraction) -> None:
        """Removes a step from the track's clock, unless another track continued across it."""
        others = [other for key, other in self._tracks.items() if key != index]
        near = [other for other in others if abs(time - other.now) <= USUAL_LIMIT]
        if step > 0 and any(other.offset == track.offset for other in near):
            self.longest_pause = max(self.longest_pause, step)
            return
        self.has_jumps = True
        if joined := [other for other in near if other.offset != track.offset]:
            track.offset = max(other.offset for other in joined)
        else:
            track.offset += track.lasts - step


def pause_limit(longest_pause: float) -> int:
    """Returns the seconds beyond which a step is a clock jump (`-dts_delta_threshold`)."""
    return math.ceil(longest_pause) + 1 if longest_pause > USUAL_LIMIT else USUAL_LIMIT
