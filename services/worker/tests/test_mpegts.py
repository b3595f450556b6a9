"""Our own look into segments, against what ffmpeg says of the same ones."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.mpegts import NotOurSegmentError, measure_audio, measure_video

from .clips import ffmpeg, picture, sound

OFFSET = ["-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", "10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("segments")


@pytest.fixture(scope="module")
def video(folder: Path) -> bytes:
    path = folder / "video.ts"
    codec = ["-c:v", "libx264", "-profile:v", "main", "-level", "3.1", "-g", "25", "-pix_fmt", "yuv420p"]
    ffmpeg("-v", "error", *picture("320x180", 3), *codec, *OFFSET, str(path))
    return path.read_bytes()


@pytest.fixture(scope="module")
def audio(folder: Path) -> bytes:
    path = folder / "audio.ts"
    ffmpeg("-v", "error", *sound(2), "-c:a", "aac", *OFFSET, str(path))
    return path.read_bytes()


def test_pictures_are_counted_and_timed(video: bytes) -> None:
    measured = measure_video(video)

    assert (measured.size, measured.frames) == (len(video), 75)
    assert measured.first_pts == 900_000
    assert measured.last_pts == 900_000 + 74 * 3600
    assert measured.codec.startswith("avc1.4d")
    assert measured.codec.endswith("1f")


def test_key_frames_are_found_with_their_bytes(video: bytes) -> None:
    frames = measure_video(video).key_frames

    assert [frame.pts for frame in frames] == [900_000, 990_000, 1_080_000]
    assert all(frame.offset % 188 == frame.size % 188 == 0 for frame in frames)
    assert frames[0].offset == measure_video(video).header > 0


def test_one_key_frame_and_the_tables_decode_to_one_picture(video: bytes, folder: Path) -> None:
    measured = measure_video(video)
    frame = measured.key_frames[1]
    path = folder / "still.ts"
    path.write_bytes(video[: measured.header] + video[frame.offset : frame.offset + frame.size])

    assert "frame=    1" in ffmpeg("-stats", "-i", str(path), "-f", "null", "-")


def test_sound_ends_where_its_last_frame_ends(audio: bytes) -> None:
    measured = measure_audio(audio)

    assert measured.codec == "mp4a.40.2"
    assert measured.end == measured.first_pts + measured.frames * 1920
    assert measured.end is not None
    assert abs(measured.end - (900_000 + 2 * 90_000)) <= 1920


def test_the_wrong_kind_is_refused(video: bytes, audio: bytes) -> None:
    with pytest.raises(NotOurSegmentError):
        measure_video(audio)
    with pytest.raises(NotOurSegmentError):
        measure_audio(video)


@given(st.binary(max_size=2000))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NotOurSegmentError):
        measure_video(data)


def test_half_a_packet_is_refused(video: bytes) -> None:
    with pytest.raises(NotOurSegmentError):
        measure_video(video[:-100])
