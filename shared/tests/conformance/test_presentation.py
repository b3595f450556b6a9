import pytest

from gostream_shared.conformance.playlist import MediaPlaylist, Segment
from gostream_shared.conformance.presentation import Kind, Piece, Track


def track(*pieces: tuple[float, int], target: int = 6) -> Track:
    """A track of (seconds, bytes)."""
    made = Track(Kind.VIDEO, "v.m3u8", MediaPlaylist(target_duration=target))
    for seconds, size in pieces:
        segment = Segment(1, "s.ts", seconds, None, None, discontinuity=False)
        made.pieces.append(Piece("s.ts", segment, "s.ts", size=size))
    return made


@pytest.mark.parametrize(
    ("pieces", "peak"),
    [
        ([(6.0, 600), (6.0, 1200)], 1600),
        ([(6.0, 600), (4.0, 1000)], 2000),  # 4 s are more than half a target duration
        ([(6.0, 600), (2.0, 1000)], 1600),  # 2 s are not: together with the segment before
        ([(6.0, 600), (5.0, 100), (2.0, 1000)], 1257),  # 5 + 2 s, while 6 + 5 + 2 are too long
        ([(2.0, 100)], 400),  # nothing is long enough: the average
        ([(0.0, 100), (0.0, 100)], 0),
    ],
)
def test_the_peak_is_over_runs_of_half_to_one_and_a_half_target_durations(
    pieces: list[tuple[float, int]], peak: int
) -> None:
    assert int(track(*pieces).peak_bandwidth) == peak


def test_many_segments_without_duration_cost_no_square() -> None:
    assert track(*[(0.0, 1)] * 20_000).peak_bandwidth == 0
