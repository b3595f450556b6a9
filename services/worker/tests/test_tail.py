"""The last piece of a recording, looked for from its end."""

from gostream_worker.ffmpeg.tail import MOST_MARKS, last_cluster, last_fragment


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def fragment(time: int, *, track: int = 1) -> bytes:
    header = box(b"tfhd", bytes(4) + track.to_bytes(4, "big"))
    return box(b"moof", box(b"traf", header + box(b"tfdt", b"\1\0\0\0" + time.to_bytes(8, "big"))))


def test_the_last_fragment_of_the_track_is_found() -> None:
    tail = b"media" + fragment(100) + box(b"mdat", b"x" * 50) + fragment(200) + fragment(300, track=2)

    assert last_fragment(tail, 1) == 200
    assert last_fragment(tail, 2) == 300
    assert last_fragment(tail, 3) is None


def test_a_mark_within_media_data_is_passed_over() -> None:
    assert last_fragment(fragment(100) + box(b"mdat", b"moof by chance"), 1) == 100
    assert last_cluster(b"\x1f\x43\xb6\x75\x84\xe7\x81\x07" + b"\x1f\x43\xb6\x75 by chance") == 7


def test_a_file_of_nothing_but_marks_is_given_up() -> None:
    assert last_fragment(fragment(100) + b"moof" * MOST_MARKS, 1) is None
    assert last_fragment(fragment(100) + b"moof" * (MOST_MARKS - 1), 1) == 100
