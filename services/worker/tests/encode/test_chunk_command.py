"""ffmpeg's arguments for a chunk."""

from dataclasses import replace
from typing import Any

import pytest

from gostream_worker.encode.command import chunk_arguments, encode_arguments, sheet_arguments
from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.plan.storyboard import chunk_tiles, poster_chunks
from gostream_worker.probe.model import AudioTrack, Probe, SourceTrack
from services.worker.tests.encode.test_command import values
from services.worker.tests.plan.test_ladder import VIDEO

_SOUND = AudioTrack(index=1, codec="ac3", channels=2, sample_rate=48000)
_TEXT = SourceTrack(index=2, kind="subtitles", codec="srt")


def film(*, seconds: float = 600, **facts: Any) -> Plan:
    """A film with sound and text; 25 frames per second."""
    probe = Probe(
        container="matroska",
        duration=seconds,
        size_bytes=1,
        video=replace(VIDEO, seek_gap=0.5),
        audio=_SOUND,
        tracks=(_TEXT,),
    )
    return make_plan(replace(probe, **facts), DEFAULT_PROFILE, may_divide=True)


def arguments(plan: Plan, chunk: Chunk) -> list[str]:
    return chunk_arguments(plan, chunk, source="file:input.bin", folder=".", attempt=2)


def test_whole_film_has_the_arguments_of_one_process() -> None:
    plan = film(seconds=30)

    assert arguments(plan, WHOLE) == encode_arguments(plan, source="file:input.bin", folder=".", attempt=2)
    assert plan.chunks == (WHOLE,)


def test_chunk_is_sought_before_its_first_frame() -> None:
    made = arguments(film(), Chunk(5, ChunkKind.PICTURE, 900, 300))

    assert made.index("-noaccurate_seek") < made.index("-i")
    assert {"-copyts", "-start_at_zero"} <= set(made[: made.index("-i")])
    assert values(made, "-ss") == ["34.500000"]
    assert "fps=fps=25:start_time=36.000000000,trim=end_pts=1200," in values(made, "-filter_complex")[1]
    assert values(made, "-start_number") == ["6", "6", "6", "6"], "three rungs, and a tile every 6 s"
    assert values(made, "-hls_segment_filename")[0] == "file:./1080p/%05d-2.ts"


def test_first_and_last_chunk_have_open_ends() -> None:
    first, last = (arguments(film(), chunk) for chunk in (film().chunks[0], film().chunks[-1]))

    assert "-ss" not in first
    assert "-start_number" in first, "the tiles'"
    assert "trim" not in values(last, "-filter_complex")[1]


def test_sound_chunk_has_every_sound_and_text() -> None:
    made = arguments(film(), Chunk(1, ChunkKind.SOUND))

    assert values(made, "-map") == ["[a]", "0:2"]
    assert "-vn" in made
    assert "-copyts" not in made


def test_picture_chunk_reads_no_other_track() -> None:
    made = arguments(film(), Chunk(0, ChunkKind.PICTURE, 0, 300))

    assert {"-an", "-sn"} <= set(made)
    assert not [name for name in values(made, "-map") if name.startswith("0:")]


def test_chunks_of_a_broadcast_use_the_same_tracks() -> None:
    """ffmpeg's time begins with the first of the tracks that it uses."""
    plan = film(container="mpegts")
    picture, sound = (arguments(plan, chunk) for chunk in plan.chunks[:2])

    assert [name for name in values(picture, "-map") if name.startswith("0:")] == ["0:1", "0:2"]
    assert [name for name in values(sound, "-map") if name.startswith("0:")] == ["0:2", "0:0"]
    assert not {"-an", "-vn"} & {*picture, *sound}
    assert values(picture, "-frames:a") == values(sound, "-frames:v") == ["1"]


@pytest.mark.parametrize(("seconds", "numbers"), [(60, [0]), (600, [6, 0]), (7200, [13, 0])])
def test_poster_is_made_by_its_chunk(seconds: int, numbers: list[int]) -> None:
    plan = film(seconds=seconds)

    assert [chunk.number for chunk in poster_chunks(plan)] == numbers
    with_poster = [chunk.number for chunk in plan.chunks if "[poster]" in arguments(plan, chunk)]
    assert sorted(with_poster) == sorted(numbers)


@pytest.mark.parametrize("seconds", [36.0, 61.5, 600.0, 4321.0, 40000.0])
def test_every_tile_is_made_by_one_chunk(seconds: float) -> None:
    plan = film(seconds=seconds)

    found = [number for chunk in plan.chunks if chunk.has_picture for number in chunk_tiles(plan, chunk)]
    assert found == list(range(len(found)))
    assert 35 <= len(found) <= 100
    for chunk in plan.chunks:
        has_tiles = chunk.has_picture and bool(chunk_tiles(plan, chunk))
        assert ("[tiles]" in arguments(plan, chunk)) == has_tiles


def test_sheet_is_laid_from_all_tiles() -> None:
    made = sheet_arguments(film(), folder=".")

    assert values(made, "-i") == ["file:./tile-%04d.png"]
    assert values(made, "-vf") == ["tile=10x10"]
    assert made[-1] == "file:./storyboard.jpg"
