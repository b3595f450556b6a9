"""The chunks of a film."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind, plan_chunks
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.probe.model import AudioTrack, Probe
from services.worker.tests.plan.test_ladder import VIDEO

SOUND = AudioTrack(index=1, codec="aac", channels=2, sample_rate=48000)
PROBE = Probe(container="mov", duration=600, size_bytes=1, video=replace(VIDEO, seek_gap=0.0), audio=SOUND)


def divided(**facts: Any) -> Plan:
    return make_plan(replace(PROBE, **facts), DEFAULT_PROFILE, may_divide=True)


def lengths(plan: Plan) -> list[float]:
    """Seconds of the chunks of picture except the last one."""
    frames = [chunk.frames for chunk in plan.chunks if chunk.kind is ChunkKind.PICTURE]
    return [float(count / plan.fps) for count in frames if count is not None]


def test_short_film_has_one_chunk() -> None:
    assert divided(duration=35.9).chunks == (WHOLE,)
    assert len(divided(duration=36).chunks) > 1


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(2, 12), (10, 12), (30, 18), (60, 36), (100, 60), (720, 60)]
)
def test_chunks_grow_with_the_film(minutes: int, seconds: float) -> None:
    found = lengths(divided(duration=60 * minutes))

    early = found[1 : len(found) // 2]
    assert set(early) == {seconds}


@pytest.mark.parametrize(("minutes", "seconds"), [(2, 6), (10, 6), (30, 6), (60, 18), (100, 30)])
def test_last_fifth_has_chunks_of_half_the_length(minutes: int, seconds: float) -> None:
    plan = divided(duration=60 * minutes)

    late = [chunk for chunk in plan.chunks if chunk.start_frame / plan.fps > 60 * minutes * 0.8]
    assert {chunk.frames and chunk.frames / plan.fps for chunk in late} == {seconds, None}


def test_first_chunk_is_short_and_comes_first() -> None:
    plan = divided(duration=3600)

    assert plan.chunks[0] == Chunk(0, ChunkKind.PICTURE, 0, 300)
    assert plan.chunks[1] == Chunk(1, ChunkKind.SOUND)


def test_film_without_sound_has_no_sound_chunk() -> None:
    assert {chunk.kind for chunk in divided(audio=None).chunks} == {ChunkKind.PICTURE}


@given(
    pictures=st.integers(min_value=0, max_value=3_000_000),
    fps=st.sampled_from([Fraction(5), Fraction(24000, 1001), Fraction(25), Fraction(60)]),
    has_sound=st.booleans(),
)
def test_chunks_cover_every_frame_once(pictures: int, fps: Fraction, has_sound: bool) -> None:
    segment = 3 * round(2 * fps)
    chunks = plan_chunks(pictures=pictures, fps=fps, segment_frames=segment, has_sound=has_sound)
    shown = [chunk for chunk in chunks if chunk.kind is not ChunkKind.SOUND]

    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert shown[0].start_frame == 0
    assert shown[-1].frames is None
    ends = [chunk.start_frame + (chunk.frames or 0) for chunk in shown[:-1]]
    assert ends == [chunk.start_frame for chunk in shown[1:]]
    assert all(chunk.start_frame % segment == 0 for chunk in shown)
    assert len(shown) == 1 or pictures - shown[-1].start_frame >= segment


def test_held_picture_belongs_to_the_last_chunk() -> None:
    plan = divided(duration=3600, picture_ends=60.0)

    assert plan.chunks[-1].frames is None
    assert plan.chunks[-1].start_frame < 60 * 25


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({}, 1.0),
        ({"video": replace(VIDEO, seek_gap=4.0)}, 5.0),
        ({"video": replace(VIDEO, seek_gap=None)}, None),
        ({"video": replace(VIDEO, seek_gap=0.0, leading=3)}, None),
        ({"ignores_edits": True}, None),
    ],
)
def test_source_that_cannot_be_sought_is_whole(facts: dict[str, Any], seconds: float | None) -> None:
    assert divided(**facts).preroll == seconds
    assert divided(**facts).is_whole == (seconds is None)


def test_chunks_are_encoded_with_one_thread() -> None:
    assert {rung.threads for rung in divided().rungs} == {1}
    assert [rung.threads for rung in divided(duration=30).rungs] == [4, 2, 2]
