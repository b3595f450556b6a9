"""The renditions of a source."""

import dataclasses
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE, Profile
from gostream_worker.probe.model import AudioTrack, Probe, VideoTrack

VIDEO = VideoTrack(
    index=0,
    codec="h264",
    width=1920,
    height=1080,
    pixel_format="yuv420p",
    average_fps=Fraction(25),
    base_fps=Fraction(25),
)


def plan(
    *,
    audio: AudioTrack | None = None,
    profile: Profile = DEFAULT_PROFILE,
    picture_ends: float | None = None,
    **video: Any,
) -> Plan:
    track = dataclasses.replace(VIDEO, **video)
    probe = Probe(
        container="mov", duration=60, size_bytes=1, video=track, audio=audio, picture_ends=picture_ends
    )
    return make_plan(probe, profile)


def sizes(**video: Any) -> list[tuple[str, int, int]]:
    return [(rung.name, rung.width, rung.height) for rung in plan(**video).rungs]


def test_full_hd_gets_every_rung() -> None:
    assert sizes() == [("1080p", 1920, 1080), ("720p", 1280, 720), ("360p", 640, 360)]


def test_no_rung_is_larger_than_the_source() -> None:
    assert sizes(width=1280, height=720) == [("720p", 1280, 720), ("360p", 640, 360)]


def test_large_source_is_scaled_to_the_top_rung() -> None:
    assert sizes(width=3840, height=2160)[0] == ("1080p", 1920, 1080)


def test_size_between_two_rungs_is_kept() -> None:
    assert sizes(width=854, height=480) == [("480p", 854, 480), ("360p", 640, 360)]
    assert sizes(width=656, height=368) == [("368p", 656, 368), ("184p", 328, 184)]


def test_small_picture_gets_one_rung() -> None:
    assert sizes(width=160, height=120) == [("120p", 160, 120)]


def test_portrait_rungs_are_chosen_by_width() -> None:
    assert sizes(width=1080, height=1920)[0] == ("1080p", 1080, 1920)


@pytest.mark.parametrize("rotation", [90, 270])
def test_rungs_of_a_rotated_picture_follow_display_size(rotation: int) -> None:
    assert sizes(rotation=rotation)[1] == ("720p", 720, 1280)


def test_half_turn_keeps_width_and_height() -> None:
    assert sizes(rotation=180)[0] == ("1080p", 1920, 1080)


def test_stretched_pixels_become_square() -> None:
    assert sizes(width=720, height=576, sample_aspect=Fraction(64, 45))[0] == ("576p", 1024, 576)


def test_odd_sides_become_even() -> None:
    assert sizes(width=853, height=481)[0] == ("480p", 852, 480)


@pytest.mark.parametrize(
    ("average", "base", "expected"),
    [
        ("30000/1001", "30000/1001", "30000/1001"),
        ("2997/100", "30000/1001", "30000/1001"),  # as some muxers round it
        ("24.823", "25", "25"),  # average in the header of a fragmented file
        ("24", "24", "24"),
        ("120", "120", "60"),
        ("120000/1001", "120000/1001", "60000/1001"),
        ("144", "144", "48"),
        ("17", "17", "17"),
        ("1", "1", "5"),
        ("600/49", "25", "25"),  # frames dropped from a constant rate
        ("29", "90000", "30000/1001"),
        ("3", "60", "5"),
        ("100", "1000", "60"),
        ("0", "0", "25"),
    ],
)
def test_frame_rate_is_constant_and_at_most_60(average: str, base: str, expected: str) -> None:
    assert plan(average_fps=Fraction(average), base_fps=Fraction(base)).fps == Fraction(expected)


def test_segments_are_whole_numbers_of_gops() -> None:
    ntsc = plan(average_fps=Fraction(30000, 1001), base_fps=Fraction(30000, 1001))

    assert ntsc.gop_frames == 60
    assert ntsc.segment_duration == Fraction(180 * 1001, 30000)


@pytest.mark.parametrize(
    ("picture_ends", "held"),
    [(None, 0), (60, 0), (61, 0), (59.01, 0), (59, 25), (10, 1250), (0, 1500), (-1e12, 1500)],
)
def test_last_frame_is_held_if_sound_is_longer(picture_ends: float | None, held: int) -> None:
    assert plan(picture_ends=picture_ends).held_frames == held


@pytest.mark.parametrize(
    ("transfer", "mapped_from"), [(16, "smpte2084"), (18, "arib-std-b67"), (1, None), (2, None)]
)
def test_hdr_is_detected_by_its_transfer_function(transfer: int, mapped_from: str | None) -> None:
    assert plan(transfer=transfer).hdr_transfer == mapped_from


def test_smaller_and_slower_pictures_get_fewer_bits() -> None:
    slow, quick = plan(), plan(average_fps=Fraction(60), base_fps=Fraction(60))

    caps = [rung.max_bitrate for rung in slow.rungs]
    assert caps == sorted(caps, reverse=True)
    assert all(a.max_bitrate < b.max_bitrate for a, b in zip(slow.rungs, quick.rungs, strict=True))


@given(
    width=st.integers(16, 4096),
    height=st.integers(16, 2160),
    rotation=st.sampled_from([0, 90, 180, 270]),
    aspect=st.fractions(Fraction(1, 2), 2, max_denominator=100),
    fps=st.fractions(0, 480, max_denominator=1001),
    base=st.fractions(0, 1000, max_denominator=1001),
)
def test_every_ladder_is_valid(
    width: int, height: int, rotation: int, aspect: Fraction, fps: Fraction, base: Fraction
) -> None:
    made = plan(
        width=width, height=height, rotation=rotation, sample_aspect=aspect, average_fps=fps, base_fps=base
    )

    shown = round(width * aspect), height
    upright = shown[::-1] if rotation % 180 else shown
    for rung in made.rungs:
        assert rung.width % 2 == rung.height % 2 == 0
        assert 0 < rung.width <= upright[0]
        assert 0 < rung.height <= upright[1]
    pixels = [rung.width * rung.height for rung in made.rungs]
    assert pixels == sorted(pixels, reverse=True)
    assert len({rung.name for rung in made.rungs}) == len(made.rungs)
    assert 1 <= len(made.rungs) <= 3
    assert 5 <= made.fps <= 60
    assert made.segment_duration * made.fps % made.gop_frames == 0
    assert 4 < made.segment_duration < 8
