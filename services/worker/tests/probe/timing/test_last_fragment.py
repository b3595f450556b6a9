"""The last fragment or cluster of a recording, searched from the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.timing.last_fragment import MOST_MARKS, Fragment, last_cluster, last_fragment


def cluster(time: int, *, checksum: bytes = b"") -> bytes:
    return b"\x1f\x43\xb6\x75\x01" + bytes(7) + checksum + b"\xe7\x82" + time.to_bytes(2, "big") + b"rest"


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def fragment(track: int, time: int, *, wide: bool) -> bytes:
    header = box(b"tfhd", bytes(4) + track.to_bytes(4, "big"))
    when = bytes((int(wide), 0, 0, 0)) + time.to_bytes(8 if wide else 4, "big")
    return box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", header + box(b"tfdt", when)))


LARGE_BOX = (1).to_bytes(4, "big") + b"mdat" + (106).to_bytes(8, "big") + b"x" * 90


def test_last_valid_cluster_gives_the_time() -> None:
    assert last_cluster(b"xx" + cluster(7) + cluster(9) + b"\x1f\x43\xb6\x75 by chance") == 9
    assert last_cluster(cluster(9, checksum=b"\xbf\x84crc!")) == 9
    assert last_cluster(cluster(9)[2:]) is None


@pytest.mark.parametrize("wide", [False, True])
def test_last_fragment_of_the_track_gives_the_time(wide: bool) -> None:
    tail = fragment(1, 7, wide=wide) + fragment(1, 9, wide=wide) + fragment(2, 11, wide=wide)

    assert last_fragment(tail + box(b"mdat", b"moof"), 1) == Fragment(9)
    assert last_fragment(tail, 3) is None


@given(st.binary(max_size=100), st.sampled_from([cluster(3), fragment(1, 3, wide=True)]), st.integers(0, 60))
def test_arbitrary_bytes_raise_no_error(noise: bytes, piece: bytes, cut: int) -> None:
    for data in (noise, piece[:cut] + noise, noise + piece[: -cut or None]):
        last_cluster(data)
        last_fragment(data, 1)


def test_search_stops_after_too_many_marks() -> None:
    last = fragment(1, 9, wide=True)

    assert last_fragment(last + b"moof" * (MOST_MARKS - 1), 1) == Fragment(9)
    assert last_fragment(last + b"moof" * MOST_MARKS, 1) is None
