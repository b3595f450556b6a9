"""The storyboard: thumbnails for a player's seek bar."""

import dataclasses
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_shared.domain.video import VideoStatus
from gostream_worker.plan.ladder import make_plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.plan.storyboard import Storyboard, cues, plan_storyboard
from gostream_worker.probe.model import Probe
from gostream_worker.probe.probe import probe_source
from services.worker.tests import clips
from services.worker.tests.clips import Clips, Recipe, ffmpeg, make, sound
from services.worker.tests.conftest import Worker
from services.worker.tests.hls_player import average_color
from tests.support.quick import first_quick

from .test_ladder import VIDEO

BOARD = Storyboard(width=192, height=108, tiles=12, step=25)
SHADE = 20


def planned(seconds: float, size: tuple[int, int] = (1920, 1080)) -> Storyboard:
    track = dataclasses.replace(VIDEO, width=size[0], height=size[1])
    probe = Probe(container="mov", duration=seconds, size_bytes=1, video=track)
    return plan_storyboard(make_plan(probe, DEFAULT_PROFILE))


def times(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^(\S+) --> (\S+)$", text, re.MULTILINE)


def parts(text: str) -> list[tuple[int, ...]]:
    """x, y, width and height of each cue."""
    found = re.findall(r"^storyboard\.jpg#xywh=(\d+),(\d+),(\d+),(\d+)$", text, re.MULTILINE)
    return [tuple(map(int, part)) for part in found]


def test_each_cue_names_its_tile() -> None:
    text = cues(BOARD, frames=280, duration=timedelta(seconds=11.2))

    assert text.startswith(
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nstoryboard.jpg#xywh=0,0,192,108\n\n00:00:01.000 --> "
    )
    assert times(text)[-1] == ("00:00:11.000", "00:00:11.200")
    assert parts(text)[8:] == [
        (1536, 0, 192, 108),
        (1728, 0, 192, 108),
        (0, 108, 192, 108),
        (192, 108, 192, 108),
    ]


def test_cue_times_above_an_hour_include_hours() -> None:
    text = cues(
        Storyboard(width=2, height=2, tiles=2, step=100_000), frames=190_000, duration=timedelta(hours=2)
    )

    assert times(text) == [("00:00:00.000", "01:03:09.473"), ("01:03:09.473", "02:00:00.000")]


def test_short_video_has_no_cue_for_empty_tiles() -> None:
    assert len(parts(cues(BOARD, frames=26, duration=timedelta(seconds=1.04)))) == 2
    assert len(parts(cues(BOARD, frames=25, duration=timedelta(seconds=1)))) == 1


def test_last_tile_covers_the_rest_of_the_video() -> None:
    text = cues(BOARD, frames=500, duration=timedelta(seconds=20))

    assert (len(parts(text)), times(text)[-1]) == (12, ("00:00:11.000", "00:00:20.000"))


@given(
    frames=st.integers(1, 200_000),
    step=st.integers(1, 50_000),
    tiles=st.integers(1, 100),
    fps=st.integers(5, 60),
)
def test_cues_cover_the_video_without_gaps(frames: int, step: int, tiles: int, fps: int) -> None:
    board = Storyboard(width=192, height=108, tiles=tiles, step=step)
    found = times(cues(board, frames=frames, duration=timedelta(seconds=frames / fps)))

    assert found[0][0] == "00:00:00.000"
    assert all(start < end for start, end in found)
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]
    assert len(found) == min(tiles, -(-frames // step))


@given(st.floats(0.04, 43_200))
def test_storyboard_has_at_most_a_hundred_tiles(seconds: float) -> None:
    board = planned(seconds)

    assert 1 <= board.tiles <= 100
    assert board.tiles <= board.columns * board.rows < board.tiles + board.columns


def test_short_video_has_one_tile_per_second() -> None:
    assert (planned(60).tiles, planned(60).step, planned(0.04).tiles) == (60, 25, 1)


@pytest.mark.parametrize(
    ("size", "tile"),
    [
        ((1920, 1080), (192, 108)),
        ((1080, 1920), (108, 192)),
        ((1440, 1440), (192, 192)),
        ((1920, 200), (192, 20)),
        ((100, 60), (100, 60)),
    ],
)
def test_tiles_are_small_and_keep_the_aspect_ratio(size: tuple[int, int], tile: tuple[int, int]) -> None:
    board = planned(60, size)

    assert (board.width, board.height) == tile


def shades(folder: Path) -> Path:
    """Nearly ten seconds with a different grey each second, and longer sound."""
    steps = f"color=size=640x360:rate=25:duration=9.6,geq=lum='16+{SHADE}*floor(N/25)':cb=128:cr=128"
    coding = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "50", "-flags", "+cgop", "-sc_threshold", "0"]
    return make(
        folder / "shades.mp4", ["-f", "lavfi", "-i", steps], sound(10), codecs=[*coding, "-c:a", "aac"]
    )


def shades_to_encode(folder: Path) -> Path:
    path = folder / "shades.mkv"
    ffmpeg("-v", "error", "-i", str(shades(folder)), "-c:v", "mpeg4", "-q:v", "2", "-c:a", "copy", str(path))
    return path


@pytest.mark.slow
@pytest.mark.stack
@pytest.mark.parametrize(
    "recipe", first_quick([shades, shades_to_encode], 1), ids=lambda recipe: recipe.__name__
)
async def test_every_cue_shows_the_frame_at_its_time(worker: Worker, clip: Clips, recipe: Recipe) -> None:
    source = clip(recipe)
    probe = await probe_source(f"file:{source}", folder=source.parent)
    copied = make_plan(probe, DEFAULT_PROFILE).copied is not None
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    assert video.publication is not None
    assert video.publication.storyboard == "v1/storyboard.vtt"
    assert copied == (recipe is shades)
    folder = (await worker.save(video.id)).parent / "v1"
    text = (folder / "storyboard.vtt").read_text()
    assert times(text)[-1] == ("00:00:09.000", "00:00:09.600")
    assert len(parts(text)) == 10
    for second, (x, y, width, height) in enumerate(parts(text)):
        grey = average_color(folder / "storyboard.jpg", f"crop={width}:{height}:{x}:{y}")
        expected = SHADE * second * 255 / 219
        assert all(abs(value - expected) < SHADE / 3 for value in grey), second


@pytest.mark.stack
@pytest.mark.parametrize(
    ("recipe", "size", "tiles"),
    first_quick(
        [(clips.one_frame, (192, 108), 1), (clips.rotated, (108, 192), 2), (clips.anamorphic, (192, 108), 2)],
        1,
    ),
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_sheet_size_matches_its_cues(
    worker: Worker, clip: Clips, recipe: Recipe, size: tuple[int, int], tiles: int
) -> None:
    video = await worker.process(clip(recipe))

    folder = (await worker.save(video.id)).parent / "v1"
    found = parts((folder / "storyboard.vtt").read_text())
    assert found == [(size[0] * tile, 0, *size) for tile in range(tiles)]
    said = ffmpeg("-i", str(folder / "storyboard.jpg"), "-f", "null", "-")
    assert f" {size[0] * tiles}x{size[1]}" in said


@pytest.mark.stack
async def test_video_without_thumbnails_is_published(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POSTER", "SHEET"):
        monkeypatch.setattr(f"gostream_worker.publish.thumbnails.{name}", "none.jpg")

    video = await worker.process(clip(clips.plain))

    assert video.publication is not None
    assert (video.publication.poster, video.publication.storyboard) == (None, None)
    assert not [name for name in await worker.published(video.id) if "storyboard" in name]
