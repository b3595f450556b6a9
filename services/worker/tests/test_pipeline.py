"""Good sources of every kind through the pipeline, with real database, object store and encoder."""

import asyncio
import re
from fractions import Fraction
from pathlib import Path

import pytest

from gostream_shared.domain.video import VideoStatus
from gostream_worker.publish.measure import measure
from tests.support.quick import first_quick

from . import clips
from .clips import X264, Clips, Recipe, make, picture, sound
from .conftest import Worker
from .hls_player import attributes, average_color, broken_rules, durations, pixel_format, play, variants

pytestmark = pytest.mark.stack


async def test_complete_video_is_published(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))

    assert video.status is VideoStatus.READY, video.failure
    published = await worker.published(video.id)
    assert sorted(name for name in published if "early" not in name) == [
        "master.m3u8",
        "v1/180p/00000.ts",
        "v1/180p/00001.ts",
        "v1/180p/iframes.m3u8",
        "v1/180p/playlist.m3u8",
        "v1/360p/00000.ts",
        "v1/360p/00001.ts",
        "v1/360p/iframes.m3u8",
        "v1/360p/playlist.m3u8",
        "v1/audio/00000.ts",
        "v1/audio/00001.ts",
        "v1/audio/playlist.m3u8",
        "v1/poster.jpg",
        "v1/preview.webp",
        "v1/storyboard.jpg",
        "v1/storyboard.vtt",
    ]
    assert worker.recorder.announced[-1] == (video.id, video.version)
    assert worker.recorder.refreshed == [video.id]
    assert worker.leftovers() == []


async def test_database_row_describes_the_publication(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))

    publication = video.publication
    assert publication is not None
    assert publication.duration.total_seconds() == pytest.approx(7.5075, abs=1 / 29.97)
    assert (publication.source.container, publication.source.codecs) == ("mov", ("h264", "aac"))
    assert [(rung.name, rung.width, rung.height) for rung in publication.renditions] == [
        ("360p", 640, 360),
        ("180p", 320, 180),
    ]
    assert publication.poster == "v1/poster.jpg"
    master = await worker.master(video.id)
    assert sorted(attributes(master, "BANDWIDTH")) == sorted(
        str(rung.peak_bandwidth) for rung in publication.renditions
    )


async def test_every_variant_decodes_without_errors_or_losses(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    master = await worker.save(video.id)

    assert await broken_rules(master) == []
    for variant in range(2):
        played = await asyncio.to_thread(play, master, variant)
        assert (played.frames, played.complaints) == (225, "")


def broadcast(folder: Path) -> Path:
    """8 s of a programme, then 4 s of one with a larger picture, other colours and more channels."""
    parts = []
    for start, size, seconds, matrix, layout in (
        (0, "320x180", 8, "smpte170m", "stereo"),
        (8, "640x360", 4, "bt709", "5.1"),
    ):
        tags = ["-vf", f"setparams=colorspace={matrix}", "-output_ts_offset", str(start), "-muxdelay", "0"]
        codecs = [*X264, "-c:a", "ac3", "-b:a", "192k", *tags]
        inputs = (picture(size, seconds), sound(seconds, layout=layout))
        parts.append(make(folder / f"part{start}.ts", *inputs, codecs=codecs))
    path = folder / "broadcast.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


async def test_format_change_in_the_middle_keeps_timestamps(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(broadcast))
    assert video.status is VideoStatus.READY, video.failure
    master = await worker.save(video.id)

    assert await broken_rules(master) == []
    played = await asyncio.to_thread(play, master, 0)
    assert (played.frames, played.complaints) == (300, "")


@pytest.mark.parametrize(
    ("recipe", "seconds"),
    first_quick([(clips.surround, 2), (clips.mono_8khz, 2), (clips.webm, 2), (broadcast, 12)], 2),
)
async def test_no_sound_is_lost(worker: Worker, clip: Clips, recipe: Recipe, seconds: float) -> None:
    video = await worker.process(clip(recipe))
    published = await worker.published(video.id)

    heard = sum(durations(published["v1/audio/playlist.m3u8"].decode()))
    assert heard == pytest.approx(seconds, abs=0.1)


async def test_rungs_share_cuts_and_sound_starts_with_picture(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    published = await worker.published(video.id)

    rungs = {
        rung: [measure(published[f"v1/{rung}/{name}"]) for name in ("00000.ts", "00001.ts")]
        for rung in ("360p", "180p")
    }
    starts = {rung: [segment.first_pts for segment in segments] for rung, segments in rungs.items()}
    gop_aligned = 180 * Fraction(1001, 30000) * 90_000
    assert starts["360p"] == starts["180p"] == [900_000, 900_000 + gop_aligned]
    assert [durations(published[f"v1/{rung}/playlist.m3u8"].decode()) for rung in rungs] == [
        [6.006, 1.5015]
    ] * 2
    sound = measure(published["v1/audio/00000.ts"])
    assert abs(sound.first_pts - 900_000) <= 1920, "more than one AAC frame away"


async def test_master_declares_the_measured_values(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.long_enough_for_two_segments))
    published = await worker.published(video.id)
    master = published["master.m3u8"].decode()

    sizes = {name: len(data) for name, data in published.items() if name.endswith(".ts")}
    audio = sum(size for name, size in sizes.items() if "audio" in name) * 8 / 7.5
    for uri, average in zip(variants(master), attributes(master, "AVERAGE-BANDWIDTH"), strict=True):
        folder = uri.rpartition("/")[0]
        picture = sum(size for name, size in sizes.items() if name.startswith(folder)) * 8 / 7.5075
        assert int(average) == pytest.approx(picture + audio, rel=0.01)
    assert set(attributes(master, "FRAME-RATE")) == {"29.970"}
    assert set(attributes(master, "RESOLUTION")) == {"640x360", "320x180"}
    for uri, codecs in zip(variants(master), attributes(master, "CODECS"), strict=True):
        first = measure(published[uri.replace("playlist.m3u8", "00000.ts")])
        assert codecs == f"{first.codec},mp4a.40.2"
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in master


async def test_progress_is_ordered_and_never_falls(worker: Worker, clip: Clips) -> None:
    await worker.process(clip(clips.long_enough_for_two_segments))

    progress = worker.recorder.progress
    percents = [report.percent for report in progress]
    assert percents == sorted(percents)
    stages = list(dict.fromkeys(report.stage for report in progress))
    order = ["fetching", "probing", "encoding", "publishing"]
    assert stages == [stage for stage in order if stage in stages]
    assert "encoding" in stages


@pytest.mark.parametrize(
    ("recipe", "sizes", "fps"),
    first_quick(
        [
            (clips.rotated, ["180x320"], "25.000"),
            (clips.odd_size, ["426x240", "212x120"], "25.000"),
            (clips.anamorphic, ["320x180"], "25.000"),
            (clips.fast, ["320x180"], "60.000"),
            (clips.interlaced, ["352x288", "176x144"], "25.000"),
            (clips.hdr10, ["320x180"], "25.000"),
            (clips.prores, ["320x180"], "25.000"),
            (clips.webm, ["320x180"], "25.000"),
            (clips.live_webm, ["320x180"], "25.000"),
            (clips.size_change, ["320x180"], "25.000"),
            (clips.one_frame, ["320x180"], "25.000"),
        ],
        4,
    ),
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_unusual_pictures_become_upright_square_and_even(
    worker: Worker, clip: Clips, recipe: Recipe, sizes: list[str], fps: str
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    master = await worker.save(video.id)
    text = await worker.master(video.id)
    assert sorted(attributes(text, "RESOLUTION")) == sorted(sizes)
    assert set(attributes(text, "FRAME-RATE")) == {fps}
    assert await broken_rules(master) == []
    for variant in range(len(sizes)):
        assert (await asyncio.to_thread(play, master, variant)).complaints == ""


@pytest.mark.parametrize(
    ("recipe", "sounds"),
    first_quick(
        [(clips.mono_8khz, 1), (clips.surround, 1), (clips.late_sound, 1), (clips.many_tracks, 8)], 1
    ),
)
async def test_each_unusual_sound_becomes_stereo(
    worker: Worker, clip: Clips, recipe: Recipe, sounds: int
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    text = await worker.master(video.id)
    assert text.count("#EXT-X-MEDIA:") == text.count('CHANNELS="2"') == sounds
    first = (await worker.published(video.id))["v1/audio/00000.ts"]
    assert abs(measure(first).first_pts - 900_000) <= 1920, "sound and picture are out of sync"
    master = await worker.save(video.id)
    assert await broken_rules(master) == []
    assert (await asyncio.to_thread(play, master, 0)).complaints == ""


@pytest.mark.parametrize(
    ("recipe", "frames"),
    first_quick([(clips.cut_beyond_the_end, {75}), (clips.cut_between_key_frames, {37, 38})], 1),
)
async def test_clip_cut_without_encoding_plays(
    worker: Worker, clip: Clips, recipe: Recipe, frames: set[int]
) -> None:
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    played = await asyncio.to_thread(play, await worker.save(video.id), 0)
    assert played.frames in frames
    assert played.complaints == ""


@pytest.mark.parametrize("recipe", first_quick([clips.plain, clips.full_range], 1))
async def test_colours_match_the_source_in_limited_range(
    worker: Worker, clip: Clips, tmp_path: Path, recipe: Recipe
) -> None:
    video = await worker.process(clip(recipe))
    await worker.save(video.id)

    rungs = sorted((tmp_path / "published/v1").glob("*p/00000.ts"))
    assert rungs
    assert {pixel_format(rung) for rung in rungs} == {"yuv420p"}
    for ours in rungs:
        colors = zip(average_color(ours), average_color(clip(recipe)), strict=True)
        assert all(abs(one - other) < 8 for one, other in colors)


async def test_rotated_picture_is_published_upright(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    video = await worker.process(clip(clips.rotated))
    await worker.save(video.id)

    ours = tmp_path / "published/v1/180p/00000.ts"
    for half in ("crop=iw:ih/2:0:0", "crop=iw:ih/2:0:ih/2"):
        colors = zip(average_color(ours, half), average_color(clip(clips.rotated), half), strict=True)
        assert all(abs(one - other) < 8 for one, other in colors)


async def test_silent_film_has_no_audio_group(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.silent))

    text = await worker.master(video.id)
    assert "AUDIO" not in text
    assert all("mp4a" not in codecs for codecs in attributes(text, "CODECS"))
    assert (await asyncio.to_thread(play, await worker.save(video.id), 0)).frames == 50


async def test_variable_frame_rate_becomes_constant_with_same_duration(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.variable_rate))

    assert video.publication is not None
    assert video.publication.duration.total_seconds() == pytest.approx(2, abs=0.05)
    assert (await asyncio.to_thread(play, await worker.save(video.id), 0)).frames == 50


async def test_hdr_is_tone_mapped_not_clipped(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    video = await worker.process(clip(clips.hdr10))
    await worker.save(video.id)

    mapped = average_color(tmp_path / "published/v1/180p/00000.ts")
    raw = average_color(clip(clips.hdr10))
    assert mapped != raw
    assert max(mapped) < 250


async def test_late_interlacing_is_deinterlaced(worker: Worker, clip: Clips) -> None:
    video = await worker.process(clip(clips.interlaced_later))

    assert video.status is VideoStatus.READY, video.failure
    master = await worker.save(video.id)
    camera = ["-i", str(master), "-map", "0:v:0", "-vf", "trim=start=12.2,idet", "-f", "null", "-"]
    seen = await asyncio.to_thread(clips.ffmpeg, "-copyts", *camera)
    counts = re.findall(r"Multi frame.*TFF: *(\d+) BFF: *(\d+) Progressive: *(\d+)", seen)[-1]
    fields, frames = int(counts[0]) + int(counts[1]), int(counts[2])
    assert fields < frames / 5
