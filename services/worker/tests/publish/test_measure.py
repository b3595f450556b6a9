"""Measurement of encoded segments."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.publish.measure import measure
from services.worker.tests.clips import ffmpeg, picture, sound

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


def test_pictures_are_timed_and_named(video: bytes) -> None:
    measured = measure(video)

    assert measured.first_pts == 900_000
    assert measured.codec.startswith("avc1.4d")
    assert measured.codec.endswith("1f")


def test_sound_is_timed_and_named(audio: bytes) -> None:
    measured = measure(audio)

    assert (measured.codec, measured.iframes) == ("mp4a.40.2", ())
    assert abs(measured.first_pts - 900_000) <= 1920


def test_key_frame_range_with_tables_decodes_alone(video: bytes, folder: Path) -> None:
    measured = measure(video)

    assert [iframe.first_pts for iframe in measured.iframes] == [900_000, 990_000, 1_080_000]
    assert [iframe.video and iframe.video.frames for iframe in measured.iframes] == [1, 1, 1]
    key = measured.whole.key_frames[1]
    path = folder / "still.ts"
    path.write_bytes(video[: measured.whole.tables_end] + video[key.offset : key.offset + key.size])
    assert "frame=    1" in ffmpeg("-stats", "-i", str(path), "-f", "null", "-")


def failure(data: bytes) -> ProcessingFailedError:
    with pytest.raises(ProcessingFailedError) as caught:
        measure(data)
    return caught.value


def test_segment_cut_within_a_packet_names_its_rule(video: bytes) -> None:
    error = failure(video[:-100])

    assert error.code is Code.INTERNAL
    assert error.detail.startswith("segments.whole-packets: ")


def test_empty_segment_is_a_source_failure(video: bytes) -> None:
    tables_only = video[: measure(video).whole.tables_end]

    assert failure(tables_only).code is failure(b"").code is Code.CORRUPT_STREAM


@given(st.binary(min_size=1, max_size=2000))
def test_unreadable_segment_is_an_internal_failure(data: bytes) -> None:
    assert failure(data).code is Code.INTERNAL
