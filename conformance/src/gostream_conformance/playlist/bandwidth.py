"""The peak bit rate of a list of segments, in time independent of the number of segments per run."""

from collections import deque
from collections.abc import Sequence
from itertools import accumulate

_NANOSECONDS = 10**9  # EXTINF is converted to integers, so that a run of exactly `shortest` counts


def peak_rate(sizes: Sequence[int], durations: Sequence[float], *, shortest: float, longest: float) -> float:
    """Returns the highest size per second of all runs of `shortest` to `longest` seconds, or 0.

    Uses Dinkelbach's method: the run furthest above a rate gives the next rate, until no run is above it. A
    few rounds of one pass each are enough.
    """
    ends = list(accumulate((round(duration * _NANOSECONDS) for duration in durations), initial=0))
    totals = list(accumulate(sizes, initial=0))
    least, most = max(1, round(shortest * _NANOSECONDS)), round(longest * _NANOSECONDS)
    peak, rate = -1.0, 0.0
    while rate > peak:
        peak = rate
        if run := _furthest_above(peak, ends, totals, least, most):
            first, last = run
            rate = (totals[last] - totals[first]) / (ends[last] - ends[first])
    return peak * _NANOSECONDS


def _furthest_above(
    rate: float, ends: Sequence[int], totals: Sequence[int], least: int, most: int
) -> tuple[int, int] | None:
    """Returns the run whose size exceeds `rate` times its duration most, or None."""
    above = [total - rate * end for total, end in zip(totals, ends, strict=True)]
    starts: deque[int] = deque()  # possible starts of a run, the lowest `above` first
    best, furthest, opened = None, 0.0, 0
    for last, end in enumerate(ends):
        while ends[opened] <= end - least:
            while starts and above[starts[-1]] >= above[opened]:
                starts.pop()
            starts.append(opened)
            opened += 1
        while starts and ends[starts[0]] < end - most:
            starts.popleft()
        if starts and above[last] - above[starts[0]] > furthest:
            best, furthest = (starts[0], last), above[last] - above[starts[0]]
    return best
