import re
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.downloads.names import disposition

_HEADER = re.compile(r"attachment; filename=\"[A-Za-z0-9 ._()-]+\.mp4\"(; filename\*=UTF-8''[!-~]+)?")


@pytest.mark.parametrize(
    ("title", "header"),
    [
        ("Holiday 2026", 'attachment; filename="Holiday 2026.mp4"'),
        ("Café", "attachment; filename=\"Cafe.mp4\"; filename*=UTF-8''Caf%C3%A9.mp4"),
        ("夏休み", "attachment; filename=\"video.mp4\"; filename*=UTF-8''%E5%A4%8F%E4%BC%91%E3%81%BF.mp4"),
        ("../../etc/passwd", 'attachment; filename="etc passwd.mp4"'),
        ('a"; filename="b.exe', 'attachment; filename="a filename b.exe.mp4"'),
        ("x\r\nSet-Cookie: a=b", 'attachment; filename="x Set-Cookie a b.mp4"'),
        ("...", 'attachment; filename="video.mp4"'),
        ("", 'attachment; filename="video.mp4"'),
        ("con\u202egpj.exe", 'attachment; filename="con gpj.exe.mp4"'),
    ],
)
def test_title_becomes_a_safe_file_name(title: str, header: str) -> None:
    found = disposition(title, "mp4")
    assert found.partition("; filename*")[0] == header.partition("; filename*")[0]
    if "filename*" in header:
        assert found == header


@given(st.text(max_size=300))
def test_no_title_breaks_the_header(title: str) -> None:
    header = disposition(title, "mp4")

    assert _HEADER.fullmatch(header), header
    parsed = Message()
    parsed["Content-Disposition"] = header
    name = parsed.get_filename()
    assert name
    assert name.endswith(".mp4")
    assert not set(name) & set('/\\:"\r\n\x00')
    assert len(header) < 1500
