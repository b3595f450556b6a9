"""Sources whose picture or sound is copied, through the complete pipeline."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from gostream_shared.domain.video import VideoStatus
from gostream_worker.plan.ladder import STANDARD_FPS, make_plan
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.probe.limits import SourceLimits, admit
from gostream_worker.probe.probe import probe_source
from gostream_worker.publish.measure import measure
from tests.support.quick import first_quick

from . import clips
from .clips import Clips, Recipe, ffmpeg, make, picture, sound
from .conftest import Worker
from .hls_player import broken_rules, durations, play

_CLOSED = ("-bf", "2", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0")
_SMALL = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-pix_fmt", "yuv420p", *_CLOSED)
_GOOD_SOUND = ("-c:a", "aac", "-b:a", "128k")


def made(folder: Path, name: str, *, video: Sequence[str] = _SMALL, fps: str = "30000/1001") -> Path:
    return make(folder / name, picture("640x360", 15, fps), sound(15), codecs=[*video, *_GOOD_SOUND])


def fit(folder: Path) -> Path:
    """Key frames every two seconds at an NTSC rate, with B-frames."""
    return made(folder, "fit.mp4")


def fit_matroska(folder: Path) -> Path:
    """Timestamps are rounded to milliseconds."""
    return made(folder, "fit.mkv")


def skipping(folder: Path) -> Path:
    """One of 25 frames a second is missing, so the container declares 24.88."""
    skip = ["-vf", "select='not(eq(n,100))'", "-fps_mode", "vfr"]
    source = make(
        folder / "skipping.mp4", picture("640x360", 8), sound(8), codecs=[*_SMALL, *skip, *_GOOD_SOUND]
    )
    path = source.with_suffix(".mkv")
    ffmpeg("-v", "error", "-i", str(source), "-c", "copy", str(path))
    return path


def irregular(folder: Path) -> Path:
    """Key frames at scene changes, at most 4 s apart."""
    keys = ["-force_key_frames", "0,1.2,4,5,8.5,9,12.8", "-g", "250"]
    return made(folder, "irregular.mp4", video=[*_SMALL, *keys], fps="25")


def one_rung(folder: Path) -> Path:
    return make(folder / "small.mp4", picture("320x180", 4), sound(4), codecs=[*_SMALL, *_GOOD_SOUND])


def open_groups(folder: Path) -> Path:
    return made(folder, "open.mp4", video=[*_SMALL, "-x264-params", "open-gop=1"])


def far_apart(folder: Path) -> Path:
    return made(folder, "far.mp4", video=[*_SMALL, "-g", "300", "-keyint_min", "300"])


def too_many_bits(folder: Path) -> Path:
    return made(folder, "big.mp4", video=[*_SMALL, "-crf", "1"])


def main_10(folder: Path) -> Path:
    return made(folder, "ten.mp4", video=[*_SMALL, "-pix_fmt", "yuv420p10le"])


def interlaced_h264(folder: Path) -> Path:
    return made(folder, "interlaced.mp4", video=[*_SMALL, "-flags", "+ilme+ildct"])


def unsteady(folder: Path) -> Path:
    dropped = ["-vf", "select='mod(n,3)'", "-fps_mode", "vfr"]
    return made(folder, "vfr.mp4", video=[*_SMALL, *dropped])


def turned(folder: Path) -> Path:
    path = folder / "turned.mp4"
    stored = fit(folder)
    ffmpeg("-v", "error", "-display_rotation:v:0", "90", "-i", str(stored), "-c", "copy", str(path))
    return path


def mirrored(folder: Path) -> Path:
    """Flipped vertically."""
    path = folder / "mirrored.mp4"
    ffmpeg("-v", "error", "-display_vflip:v:0", "-i", str(fit(folder)), "-c", "copy", str(path))
    return path


def tilted(folder: Path) -> Path:
    path = folder / "tilted.mp4"
    ffmpeg("-v", "error", "-display_rotation:v:0", "45", "-i", str(fit(folder)), "-c", "copy", str(path))
    return path


def of_two_minds(folder: Path) -> Path:
    """The container declares square pixels, the parameter set does not."""
    stored = made(folder, "wide.mp4", video=[*_SMALL, "-vf", "setsar=4/3"])
    path = folder / "minds.mp4"
    ffmpeg("-v", "error", "-i", str(stored), "-c", "copy", "-aspect", "16:9", str(path))
    return path


def changing(folder: Path) -> Path:
    """The second half has other parameter sets."""
    halves = [
        make(folder / name, picture("640x360", 4), codecs=[*_SMALL, "-bf", "0", "-vf", f"setsar={aspect}"])
        for name, aspect in (("1.h264", "1"), ("2.h264", "4/3"))
    ]
    stream, path = folder / "both.h264", folder / "changing.mp4"
    stream.write_bytes(b"".join(half.read_bytes() for half in halves))
    ffmpeg("-v", "error", "-r", "25", "-i", str(stream), "-c", "copy", str(path))
    return path


def one_broken_length(folder: Path) -> Path:
    """One of 375 frames has empty slices, so a copy fails."""
    path = made(folder, "zeros.mp4", fps="25")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size and not packet.is_keyframe]
    position = packets[len(packets) // 2].pos
    assert position is not None
    with path.open("r+b") as file:
        file.seek(position)
        file.write(bytes(8))
    return path


async def planned(path: Path) -> Plan:
    probe = await probe_source(f"file:{path}", folder=path.parent)
    admit(probe, SourceLimits(max_bytes=1 << 30, max_duration=3600))
    return make_plan(probe, DEFAULT_PROFILE)


@pytest.mark.parametrize(
    "recipe", first_quick([fit, fit_matroska, irregular, one_rung], 2), ids=lambda r: r.__name__
)
async def test_suitable_source_is_copied(clip: Clips, recipe: Recipe) -> None:
    plan = await planned(clip(recipe))

    assert plan.copied is not None
    assert plan.copied.longest <= 7
    assert plan.copies_sound


async def test_frame_rate_comes_from_frames_not_container_average(clip: Clips) -> None:
    plan = await planned(clip(skipping))

    assert plan.video.average_fps not in STANDARD_FPS
    assert plan.fps == 25


@pytest.mark.parametrize(
    "recipe",
    first_quick(
        [
            open_groups,
            far_apart,
            too_many_bits,
            main_10,
            interlaced_h264,
            unsteady,
            turned,
            mirrored,
            tilted,
            of_two_minds,
            changing,
            clips.webm,
            clips.late_sound,
        ],
        4,
    ),
    ids=lambda r: r.__name__,
)
async def test_unsuitable_source_is_encoded(clip: Clips, recipe: Recipe) -> None:
    assert (await planned(clip(recipe))).copied is None


async def test_tilted_picture_keeps_the_encoders_shape(clip: Clips) -> None:
    plan = await planned(clip(tilted))

    assert [(rung.width, rung.height) for rung in plan.rungs] == [(640, 360), (320, 180)]


@pytest.mark.parametrize("recipe", first_quick([clips.mono_8khz, clips.surround, clips.webm]))
async def test_sound_that_players_may_reject_is_encoded(clip: Clips, recipe: Recipe) -> None:
    assert not (await planned(clip(recipe))).copies_sound


@pytest.mark.stack
@pytest.mark.parametrize(
    "recipe", first_quick([fit, fit_matroska, irregular, one_rung]), ids=lambda r: r.__name__
)
async def test_copied_picture_is_published_as_a_rung(worker: Worker, clip: Clips, recipe: Recipe) -> None:
    plan = await planned(clip(recipe))
    video = await worker.process(clip(recipe))

    assert video.status is VideoStatus.READY, video.failure
    master = await worker.save(video.id)
    slow_keys = "segments.key-interval"  # same as in the source, and only a should
    assert [rule for rule in await broken_rules(master) if not rule.startswith(slow_keys)] == []
    published = await worker.published(video.id)
    lists = {tuple(durations(published[f"v1/{rung.name}/playlist.m3u8"].decode())) for rung in plan.rungs}
    assert len(lists) == 1
    frames = {(await asyncio.to_thread(play, master, number)).frames for number in range(len(plan.rungs))}
    assert frames == {count_frames(clip(recipe))}


@pytest.mark.stack
async def test_copied_tracks_match_the_source_exactly(worker: Worker, clip: Clips, tmp_path: Path) -> None:
    video = await worker.process(clip(fit))
    published = await worker.published(video.id)

    segments = b"".join(data for name, data in sorted(published.items()) if "v1/360p/0" in name)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(segments)
    assert decoded(joined) == decoded(clip(fit))
    assert measure(published["v1/360p/00000.ts"]).first_pts == 900_000
    heard = measure(published["v1/audio/00000.ts"]).first_pts
    assert abs(heard - 900_000) <= 1920, "sound and picture start together"


@pytest.mark.slow
@pytest.mark.stack
async def test_failed_copy_is_encoded_by_the_next_attempt(
    worker: Worker, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = "gostream_worker.encode.command._keys_of_the_source"
    monkeypatch.setattr(keys, lambda: ["-g", "17", "-fps_mode", "passthrough"])
    video_id = await worker.upload(clip(fit))
    job = await worker.start(video_id)

    assert (await worker.attempts.transcode(job)).again_in is not None, "refused by the conformance check"
    await worker.attempts.transcode(job)

    video = await worker.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2), video.failure


@pytest.mark.stack
@pytest.mark.slow
async def test_uncopyable_damage_is_encoded_by_the_next_attempt(worker: Worker, clip: Clips) -> None:
    assert (await planned(clip(one_broken_length))).copied is not None
    job = await worker.start(video_id := await worker.upload(clip(one_broken_length)))

    assert (await worker.attempts.transcode(job)).again_in is not None, "the copy fails"
    await worker.attempts.transcode(job)

    video = await worker.video(video_id)
    assert (video.status, video.attempt) == (VideoStatus.READY, 2), video.failure


def count_frames(path: Path) -> int:
    return len(decoded(path).splitlines())


def decoded(path: Path) -> str:
    """Checksums of the frames, in order."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-f", "framehash", "-hash", "crc32", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return "\n".join(line.rpartition(",")[2].strip() for line in lines)
