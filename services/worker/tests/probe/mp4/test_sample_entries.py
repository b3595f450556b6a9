"""Sample entries in the index of an MP4 or MOV file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.mp4.sample_entries import picture_boxes, sound_boxes
from services.worker.tests.probe.timing.test_last_fragment import box

KINDS = st.binary(min_size=4, max_size=4)
BOXES = st.dictionaries(KINDS, st.binary(max_size=40), max_size=5)
#: Bytes before the boxes of a sound entry, by version.
SOUND = {0: 28, 1: 44, 2: 64}


def trak(track: int, entry: bytes, *, version: int = 0) -> bytes:
    header = bytes((version, 0, 0, 0)) + bytes(16 if version else 8) + track.to_bytes(4, "big")
    content = bytes(8) + box(b"entr", entry)
    for name in (b"stsd", b"stbl", b"minf", b"mdia"):
        content = box(name, content)
    return box(b"trak", box(b"tkhd", header) + content)


def listed(boxes: dict[bytes, bytes]) -> bytes:
    return b"".join(box(kind, content) for kind, content in boxes.items())


def sound_entry(boxes: dict[bytes, bytes], version: int) -> bytes:
    start = bytes(8) + version.to_bytes(2, "big")
    return start.ljust(SOUND[version], b"\0") + listed(boxes)


@given(BOXES, BOXES, st.integers(1, 1 << 31), st.sampled_from([0, 1, 2]), st.sampled_from([0, 1]))
def test_written_values_are_read_back(
    seen: dict[bytes, bytes], heard: dict[bytes, bytes], track: int, version: int, header: int
) -> None:
    picture = trak(track, bytes(78) + listed(seen), version=header)
    sound = trak(track + 1, sound_entry(heard, version), version=header)
    index = box(b"mvhd", bytes(100)) + picture + sound

    assert picture_boxes(index, track) == seen
    assert sound_boxes(index, track + 1) == heard
    assert picture_boxes(index, track + 2) == {}


@pytest.mark.parametrize("version", [3, 0xFFFF])
def test_entry_of_unknown_version_has_no_boxes(version: int) -> None:
    entry = bytes(8) + version.to_bytes(2, "big") + bytes(90) + box(b"SA3D", b"x")

    assert sound_boxes(trak(1, entry), 1) == {}


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 3))
def test_arbitrary_bytes_raise_no_error(noise: bytes, cut: int, track: int) -> None:
    whole = trak(1, bytes(78) + box(b"dvcC", b"x" * 24)) + trak(2, sound_entry({b"SA3D": b"x" * 12}, 1))
    for data in (noise, whole[:cut] + noise, noise + whole, trak(1, noise)):
        for boxes in (picture_boxes(data, track), sound_boxes(data, track)):
            assert sum(map(len, boxes.values())) <= len(data)


@pytest.mark.parametrize("cut", range(0, 250, 7))
def test_truncated_index_gives_fewer_boxes(cut: int) -> None:
    found = picture_boxes(trak(1, bytes(78) + box(b"clap", b"y" * 32))[:cut], 1)

    assert found in ({}, {b"clap": b"y" * len(found.get(b"clap", b""))})
