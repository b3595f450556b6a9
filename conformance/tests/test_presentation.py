from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gostream_conformance.formats.mpegts import CLOCK
from gostream_conformance.playlist.bandwidth import peak_rate
from gostream_conformance.playlist.model import MediaPlaylist, Segment
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_conformance.tree.presentation import Kind, Piece, Track
from gostream_conformance.tree.segment import measure_segment


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
        ([(6.0, 600), (4.0, 1000)], 2000),  # 4 s exceed half a target duration
        ([(6.0, 600), (2.0, 1000)], 1600),  # 2 s do not: joined with the segment before
        ([(6.0, 600), (5.0, 100), (2.0, 1000)], 1257),  # 5 + 2 s; 6 + 5 + 2 s are too long
        ([(2.0, 100)], 400),  # no run is long enough: the average
        ([(0.0, 100), (0.0, 100)], 0),
    ],
)
def test_peak_spans_half_to_one_and_half_targets(pieces: list[tuple[float, int]], peak: int) -> None:
    assert int(track(*pieces).peak_bandwidth) == peak


def test_zero_length_segments_cost_no_quadratic_time() -> None:
    assert track(*[(0.0, 1)] * 20_000).peak_bandwidth == 0


def test_peak_is_found_among_many_short_segments() -> None:
    dense = [(0.02, 100)] * 150  # 3 s are half a target duration
    assert round(track((6.0, 600), *dense, (6.0, 600)).peak_bandwidth) == 40_000


RUNS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1000)), min_size=1, max_size=12)


@given(RUNS, st.integers(1, 8))
@example([(3, 1000), (5, 1), (1, 900)], 6)
def test_peak_matches_a_brute_force_search(pieces: list[tuple[int, int]], target: int) -> None:
    sizes, durations = [size for _, size in pieces], [float(seconds) for seconds, _ in pieces]

    found = peak_rate(sizes, durations, shortest=0.5 * target, longest=1.5 * target)

    assert found == pytest.approx(max(_rates(pieces, target), default=0.0))


def _rates(pieces: list[tuple[int, int]], target: int) -> Iterator[float]:
    for start in range(len(pieces)):
        seconds = accumulate(second for second, _ in pieces[start:])
        for length, total in zip(seconds, accumulate(size for _, size in pieces[start:]), strict=True):
            if 0.5 * target <= length <= 1.5 * target:
                yield total / length


@pytest.fixture(scope="module")
def measure(good_tree: Path) -> SegmentMeasure:
    return measure_segment((good_tree / "v1/180p/seg0.ts").read_bytes())


def filmed(measure: SegmentMeasure, rate: Fraction, *lengths: int) -> Track:
    """A track of segments with these frame counts, timed by a 90 kHz clock."""
    made = track(*[(1.0, 1)] * len(lengths))
    assert measure.video
    first = 0
    for piece, frames in zip(made.pieces, lengths, strict=True):
        stamps = [round(CLOCK * number / rate) for number in range(first, first + frames)]
        gaps = sorted(b - a for a, b in pairwise(stamps)) or [round(CLOCK / rate)]
        video = replace(
            measure.video,
            first_pts=stamps[0],
            last_pts=stamps[-1],
            frames=frames,
            frame_ticks=gaps[(len(gaps) - 1) // 2],
            longest_gap=gaps[-1],
        )
        piece.measure = replace(measure, video=video)
        first += frames
    return made


@pytest.mark.parametrize("lengths", [(2,), (3, 1), (50,), (144, 144, 7), (144,) * 300])
@pytest.mark.parametrize("rate", ["24000/1001", "24", "25", "30000/1001", "30", "60000/1001", "60", "14.985"])
def test_frame_rates_a_thousandth_apart_are_distinguished(
    measure: SegmentMeasure, rate: str, lengths: tuple[int, ...]
) -> None:
    rates = filmed(measure, Fraction(rate), *lengths).frame_rates

    assert rates
    assert rates[0] <= round(float(Fraction(rate)), 3) <= rates[1]
    if sum(lengths) > 40:
        assert rates[1] < float(Fraction(rate)) * 1.001
        assert rates[0] > float(Fraction(rate)) / 1.001


def test_rounded_frame_durations_match_the_nominal_rate(
    measure: SegmentMeasure,
) -> None:
    for ticks in (1501, 1502):  # exact value: 1501.5
        rates = filmed(measure, Fraction(CLOCK, ticks), 360, 360).frame_rates
        assert rates
        assert rates[0] < 59.94 < rates[1]


def test_variable_rate_spans_average_to_fastest(measure: SegmentMeasure) -> None:
    made = filmed(measure, Fraction(25), 50, 50)
    first = made.pieces[0].measure
    assert first
    assert first.video
    made.pieces[0].measure = replace(first, video=replace(first.video, frames=40, longest_gap=39_600))

    rates = made.frame_rates

    assert rates
    assert rates[0] < 22.5
    assert rates[1] > 25
