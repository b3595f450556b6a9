"""Closes the continuity counters of a chunk's segments, so that the next chunk's segments can follow. Pure.

ffmpeg begins every counter with 0 in each process. Apple requires that counters continue from one segment to
the next (HLS authoring specification, 7.2).
"""


class CounterClosing:
    """Rewrites the segments of one rung of one chunk, in their order."""

    def __init__(self, first: int) -> None:
        """`first`: the number of the chunk's first segment in the film."""

    def close(self, segment: bytes, *, is_last: bool) -> bytes:
        """Returns the segment with continuing counters. `is_last`: no segment of the chunk follows.

        Raises ValueError if it does not consist of packets of a transport stream.
        """
        raise NotImplementedError
