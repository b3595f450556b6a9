"""The loudness of published sounds, as reported and as asked for."""

import re
from pathlib import Path

import pytest

from gostream_shared.domain.video import Video
from gostream_shared.domain.videos.loudness import Loudness, LoudnessTarget
from gostream_worker.encode.loudness import gain_to, read_meter
from services.worker.tests import clips
from services.worker.tests.clips import Clips, Recipe, ffmpeg
from services.worker.tests.conftest import Worker
from services.worker.tests.sound_only import sound_clips
from services.worker.tests.tracks import track_clips

stack = pytest.mark.stack


def heard(path: Path) -> Loudness:
    """The loudness of a published playlist, by the summary of ffmpeg's meter."""
    said = ffmpeg("-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-").rpartition("Summary:")[2]
    [integrated] = re.findall(r"I:\s+(\S+) LUFS", said)
    [peak] = re.findall(r"Peak:\s+(\S+) dBFS", said)
    return Loudness(integrated_lufs=float(integrated), true_peak_dbtp=float(peak))


def reported(video: Video) -> Loudness | None:
    assert video.publication is not None, video.failure
    return video.publication.loudness


@stack
@pytest.mark.parametrize(
    ("recipe", "folder"),
    [
        (clips.plain, "audio"),
        (track_clips.two_languages_to_copy, "audio"),
        (sound_clips.quiet_wav, "256k"),
        (sound_clips.mp3, "128k"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_reported_loudness_is_that_of_the_sound(
    worker: Worker, clip: Clips, recipe: Recipe, folder: str
) -> None:
    video = await worker.process(clip(recipe))

    master = await worker.save(video.id)
    found = heard(master.parent / f"v1/{folder}/playlist.m3u8")
    said = reported(video)
    assert said is not None
    assert said.integrated_lufs == pytest.approx(found.integrated_lufs, abs=0.3)
    assert said.true_peak_dbtp == pytest.approx(found.true_peak_dbtp, abs=0.5)


@stack
@pytest.mark.parametrize("recipe", [clips.silent, sound_clips.silent_wav], ids=lambda value: value.__name__)
async def test_silence_has_no_loudness(worker: Worker, clip: Clips, recipe: Recipe) -> None:
    assert reported(await worker.process(clip(recipe))) is None


@stack
@pytest.mark.parametrize(
    ("recipe", "folders"),
    [
        (track_clips.two_languages_to_copy, ["audio", "audio-de"]),
        (sound_clips.quiet_wav, ["256k", "64k"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.parametrize(("target", "lufs"), [(LoudnessTarget.LUFS_16, -16), (LoudnessTarget.LUFS_23, -23)])
async def test_wanted_loudness_is_that_of_every_sound(
    worker: Worker, clip: Clips, recipe: Recipe, folders: list[str], target: LoudnessTarget, lufs: int
) -> None:
    video = await worker.process(clip(recipe), loudness=target)

    master = await worker.save(video.id)
    for folder in folders:
        found = heard(master.parent / f"v1/{folder}/playlist.m3u8")
        assert found.integrated_lufs == pytest.approx(lufs, abs=0.5)
        assert found.true_peak_dbtp <= -0.5
    said = reported(video)
    assert said is not None
    assert said.integrated_lufs == pytest.approx(lufs, abs=0.2)


@stack
async def test_peak_limits_the_gain(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(sound_clips.quiet_with_click), loudness=LoudnessTarget.LUFS_16)

    said = reported(video)
    assert said is not None
    assert said.true_peak_dbtp == pytest.approx(-1.0, abs=0.2)
    assert said.integrated_lufs < -20


@pytest.mark.parametrize(
    ("found", "gain"),
    [
        (Loudness(integrated_lufs=-30.0, true_peak_dbtp=-20.0), 14.0),
        (Loudness(integrated_lufs=-30.0, true_peak_dbtp=-10.0), 9.0),
        (Loudness(integrated_lufs=-10.0, true_peak_dbtp=0.5), -6.0),
        (None, 0.0),
    ],
)
def test_gain_reaches_target_below_the_ceiling(found: Loudness | None, gain: float) -> None:
    assert gain_to(-16.0, found) == gain


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (
            "lavfi.r128.I=-20.120\nlavfi.r128.I=-19.960\nlavfi.astats.Overall.Peak_level=-3.40\n",
            Loudness(integrated_lufs=-20.0, true_peak_dbtp=-3.4),
        ),
        ("lavfi.r128.I=-70.000\nlavfi.astats.Overall.Peak_level=-3\n", None),
        ("lavfi.r128.I=-60.000\nlavfi.astats.Overall.Peak_level=-inf\n", None),
        ("lavfi.r128.I=nan\nlavfi.astats.Overall.Peak_level=-3\n", None),
        ("lavfi.r128.I=?\n", None),
        ("", None),
    ],
)
def test_last_valid_state_of_the_meter_counts(printed: str, found: Loudness | None) -> None:
    assert read_meter(printed) == found
