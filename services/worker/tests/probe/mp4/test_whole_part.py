"""The complete part of a recording is read if its recorder was killed."""

from pathlib import Path

import pytest

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.mp4.whole_part import whole_by_boxes, whole_by_tail
from gostream_worker.probe.probe import probe_source
from gostream_worker.probe.signature import Box
from gostream_worker.probe.timing.last_fragment import MOST_MARKS
from services.worker.tests.clips import Clips, ffmpeg, make, picture, sound, written
from services.worker.tests.probe.timing.test_last_fragment import LARGE_BOX, box, fragment

CUTS = ("in the data", "at its end", "in the index", "after the index", "before the index", "in a header")


@pytest.mark.parametrize("content", [box(b"mdat", b"x" * 90), LARGE_BOX], ids=["short", "64-bit length"])
def test_fragment_without_its_end_is_left_out(content: bytes) -> None:
    first, second = (fragment(1, time, wide=True) + content for time in (7, 9))
    whole = first + second

    for complete in (first, whole, whole + b"trailing noise"):
        assert whole_by_tail(complete, 1000) == 1000
    for missing in range(1, len(second) - 12):
        left = len(whole) - missing
        assert whole_by_tail(whole[:left], 1000 + left) == 1000 + len(first), missing


def test_search_stops_after_too_many_false_marks() -> None:
    whole = fragment(1, 9, wide=True)

    assert whole_by_tail(b"moof" * MOST_MARKS + whole[:60], 1000) == 1000 - 60
    assert whole_by_tail(whole + b"moof" * MOST_MARKS, 1000) is None


def test_boxes_are_walked_without_a_tail_mark() -> None:
    boxes = [Box(b"moov", 0, 100), Box(b"moof", 100, 50), Box(b"mdat", 150, 900)]

    assert whole_by_boxes(boxes, 1050) == 1050
    assert whole_by_boxes(boxes, 1049) == whole_by_boxes(boxes[:2], 150) == 100


@pytest.mark.parametrize("cut", CUTS)
async def test_killed_recording_is_read_to_its_cut(clip: Clips, cut: str) -> None:
    path = clip(recording)
    data = path.read_bytes()
    begins = [at - 4 for at in range(len(data)) if data.startswith(b"moof", at)]
    index = int.from_bytes(data[begins[3] : begins[3] + 4], "big")
    places = (
        begins[4] - 900,
        begins[4] - 1,
        begins[3] + index - 9,
        begins[3] + index,
        begins[3],
        begins[3] + 5,
    )
    killed = written(path.with_name("killed.mp4"), data[: places[CUTS.index(cut)]])

    found = await probe_source(f"file:{killed}", folder=killed.parent)

    assert found.duration == pytest.approx(3, abs=0.1)
    assert found.whole_bytes == (None if cut in CUTS[4:] else begins[3])


async def test_source_without_a_complete_part_is_truncated(clip: Clips) -> None:
    path = clip(recording)
    data = path.read_bytes()
    killed = written(path.with_name("killed.mp4"), data[: data.index(b"mdat") + 100])

    with pytest.raises(ProcessingFailedError) as error:
        await probe_source(f"file:{killed}", folder=killed.parent)

    assert error.value.code is Code.TRUNCATED


def recording(folder: Path) -> Path:
    """Five fragments of one second."""
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"]
    plain = make(folder / "plain.mp4", picture(seconds=5), sound(seconds=5), codecs=codecs)
    path = folder / "recording.mp4"
    options = ["-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof"]
    ffmpeg("-v", "error", "-i", str(plain), *options, str(path))
    return path
