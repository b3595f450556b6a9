"""Tracks that are copied instead of encoded."""

import dataclasses
from fractions import Fraction
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.encode.command import encode_arguments
from gostream_worker.encode.picture_graphs import filter_graph
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.plan.stream_copy import sound_fits, video_cuts
from gostream_worker.probe.model import AudioScan, AudioTrack, PictureGroup, Probe, VideoScan
from services.worker.tests.encode.test_command import values

from .test_ladder import VIDEO

CLOCK = 90_000


def scan(*seconds: float, size: int = 500_000, **changes: Any) -> VideoScan:
    """25 frames a second in GOPs of these lengths and of `size` bytes."""
    ends = list(accumulate(round(length * CLOCK) for length in seconds))
    starts = [0, *ends[:-1]]
    made = VideoScan(
        profile=100,
        level=40,
        is_progressive=True,
        frames=ends[-1] // 3600,
        start=0,
        end=ends[-1],
        shortest_gap=3600,
        longest_gap=3600,
        groups=tuple(PictureGroup(start, size) for start in starts),
    )
    return dataclasses.replace(made, **changes)


SOUND = AudioTrack(
    index=1,
    codec="aac",
    channels=2,
    sample_rate=48000,
    scan=AudioScan(is_low_complexity=True, is_gapless=True, frames=2812, size=960_000, start=0),
)


def plan(found: VideoScan | None, *, may_copy: bool = True, **video: Any) -> Plan:
    track = dataclasses.replace(VIDEO, scan=found, **video)
    probe = Probe(container="mov", duration=60, size_bytes=1, video=track, audio=SOUND)
    return make_plan(probe, DEFAULT_PROFILE, may_copy=may_copy)


def test_good_source_is_copied_in_six_second_segments() -> None:
    made = plan(scan(*[2] * 30))

    assert made.copied is not None
    assert [made.segment_duration, made.longest_segment] == [6, 6]
    assert made.copies_sound


def test_picture_with_a_held_frame_is_encoded() -> None:
    track = dataclasses.replace(VIDEO, scan=scan(*[2] * 30))
    probe = Probe(container="mov", duration=70, size_bytes=1, video=track, audio=SOUND, picture_ends=60)

    made = make_plan(probe, DEFAULT_PROFILE)

    assert (made.held_frames, made.copied) == (250, None)
    assert made.copies_sound


def test_five_second_key_frames_make_five_second_segments() -> None:
    copied = plan(scan(*[5] * 12)).copied

    assert copied is not None
    assert [copied.interval, copied.longest] == [5, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": 110},
        {"level": 60},
        {"is_progressive": False},
        {"start": 900},
        {"shortest_gap": 1000},
        {"longest_gap": 7200},
        {"shortest_gap": 3604, "longest_gap": 3604},
        {"frames": 1400},
        {"frames": 1},
        {"sample_aspect": Fraction(4, 3)},
    ],
)
def test_video_that_players_may_reject_is_encoded(changes: dict[str, Any]) -> None:
    assert plan(scan(*[2] * 30, **changes)).copied is None


@pytest.mark.parametrize(
    "video",
    [
        {"width": 3840, "height": 2160},
        {"width": 1921},
        {"rotation": 90},
        {"as_stored": False},
        {"sample_aspect": Fraction(4, 3)},
        {"pixel_format": "yuvj420p"},
        {"interlaced": True},
        {"transfer": 16},
    ],
)
def test_rotated_or_cropped_video_is_encoded(video: dict[str, Any]) -> None:
    assert plan(scan(*[2] * 30), **video).copied is None


def test_unsuitable_key_frame_distances_are_encoded() -> None:
    assert plan(scan(2, 2, 6.04, 2)).copied is None
    assert plan(scan(*[0.04] * 200, size=5000)).copied is None


def test_video_above_the_bitrate_limit_is_encoded() -> None:
    # 5 Mb/s and two seconds of buffer: 40 Mbit in six seconds.
    assert plan(scan(*[2] * 30, size=5_000_000 // 3)).copied is not None
    assert plan(scan(*[2] * 30, size=5_000_000 // 3 + 1)).copied is None


def test_second_attempt_does_not_copy() -> None:
    made = plan(scan(*[2] * 30), may_copy=False)

    assert (made.copied, made.copies_sound) == (None, False)


@given(st.lists(st.floats(0.6, 6), min_size=1, max_size=60))
def test_segment_durations_never_exceed_their_bound(lengths: list[float]) -> None:
    found = scan(*(round(length * 25) / 25 for length in lengths), size=1000)
    track = dataclasses.replace(VIDEO, scan=found)

    cuts = video_cuts(track, size=(1920, 1080), fps=Fraction(25), max_bitrate=5_000_000, segment_seconds=6)

    assert cuts is not None
    assert Fraction(1, 25) <= cuts.longest <= 12
    assert cuts.interval <= Fraction(13, 2)


@pytest.mark.parametrize(
    ("track", "scanned"),
    [
        ({}, {"is_low_complexity": False}),
        ({}, {"is_gapless": False}),
        ({}, {"start": 2000}),
        ({}, {"size": 1_300_000}),
        ({}, {"size": 100_000}),
        ({"channels": 6}, {}),
        ({"channels": 1}, {}),
        ({"sample_rate": 22050}, {}),
    ],
)
def test_sound_other_than_stereo_aac_is_encoded(track: dict[str, Any], scanned: dict[str, Any]) -> None:
    assert SOUND.scan is not None
    assert sound_fits(SOUND)
    assert not sound_fits(
        dataclasses.replace(SOUND, **track, scan=dataclasses.replace(SOUND.scan, **scanned))
    )


def test_other_rungs_are_encoded_at_source_key_frames() -> None:
    made = encode_arguments(plan(scan(*[2] * 30)), source="file:input.bin", folder=".")

    assert values(made, "-map") == ["0:0", "[v1]", "[v2]", "0:1", "[heard]", "[poster]", "[storyboard]"]
    assert values(made, "-c:v") == ["copy", "libx264", "libx264"]
    assert values(made, "-c:a") == ["copy"]
    assert "null" in values(made, "-f"), "the sound is decoded to detect damage"
    assert values(made, "-force_key_frames") == ["source"] * 2
    assert values(made, "-hls_time") == ["6.000000"] * 4
    assert not [graph for graph in values(made, "-filter_complex") if "fps=" in graph]


def test_largest_encoded_rung_gets_most_threads() -> None:
    made = encode_arguments(plan(scan(*[2] * 30)), source="s", folder="f")

    assert values(made, "-threads") == ["4", "2"]


def test_filter_graph_is_complete_for_a_copied_rung() -> None:
    made = plan(scan(*[2] * 30, size=5000), width=320, height=180)

    assert filter_graph(made).split(";")[0].endswith("split=2[p][b]")
    assert values(encode_arguments(made, source="file:s", folder="f"), "-c:v") == ["copy"]
