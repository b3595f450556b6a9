"""Files of subtitles as people have them, also hostile ones, in the jailed child."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gostream_shared.domain.tracks import TrackCode
from gostream_worker.text.child import MAX_CUES, WHOLE_FILE
from gostream_worker.text.cues import Cue
from gostream_worker.text.reader import Read, TextFile, read_texts

SRT = """1
00:00:00,500 --> 00:00:01,500
<i>Größe</i> & <script>x</script>

2
00:00:02,000 --> 00:00:03,000
b
"""
VTT = """WEBVTT - title

STYLE
::cue { color: red }

NOTE a

id
00:00.500 --> 00:01.500 line:0%
<i>Größe</i> &amp; <c.x>x</c>

00:02.000 --> 00:03.000
b
"""
ASS = """[Script Info]
Title: x

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,hidden
Dialogue: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,{\\i1}Größe{\\i0} & x
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,b
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}
"""
EVENT = b"[Script Info]\n[Events]\nFormat: Start, End, Text\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,"
TIMES = b"00:00:01,000 --> 00:00:02,000\n"
CUES = (Cue(500, 1500, "<i>Größe</i> &amp; x"), Cue(2000, 3000, "b"))


async def read(folder: Path, data: bytes, language: str = "de") -> Read:
    (folder / "file").write_bytes(data)
    (found,) = await read_texts([TextFile(file="file", codec=WHOLE_FILE, language=language)], folder)
    return found


@pytest.mark.parametrize("text", [SRT, VTT, ASS], ids=["srt", "vtt", "ass"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
async def test_every_format_is_read_in_every_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    found = await read(tmp_path, text.encode(encoding))
    assert isinstance(found, tuple)
    assert tuple(Cue(cue.start, cue.end, cue.text.replace(" &lt;script&gt;", " ")) for cue in found) == CUES


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
async def test_line_ends_of_other_systems_are_read(tmp_path: Path, ends: str) -> None:
    assert await read(tmp_path, SRT.replace("\n", ends).encode()) == CUES


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", TrackCode.UNREADABLE_SUBTITLES),
        (b"\0" * 1000, TrackCode.UNREADABLE_SUBTITLES),
        (bytes(range(256)) * 100, TrackCode.UNREADABLE_SUBTITLES),
        (b"<html>no subtitles</html>", TrackCode.UNREADABLE_SUBTITLES),
        (b"#EXTM3U\n#EXTINF:6,\nfile:///etc/passwd\n", TrackCode.UNREADABLE_SUBTITLES),
        (b"\x1a\x45\xdf\xa3" + b"x" * 999, TrackCode.UNREADABLE_SUBTITLES),
        (b"WEBVTT\n\nNOTE nothing\n", ()),
        (b"[Script Info]\n[Events]\n", ()),
        (b"[Script Info]\n[Events]\nFormat: x\nDialogue: y\n", ()),
        (SRT.encode() + b" " * (5 << 20), TrackCode.SUBTITLES_TOO_LARGE),
        (b"00:00:01,000 --> 00:00:00,000\nback\n\n", (Cue(1000, 6000, "back"),)),
        (b"9999:99:99,999 --> 00:00:01,000\nx\n\n", (Cue(36_002_439_999, 36_002_444_999, "x"),)),
        (b"0" * 4000 + b":00:01,000 --> 00:00:02,000\nx\n\n", TrackCode.UNREADABLE_SUBTITLES),
        (b"00:00:01,000 --> 00:00:02,000\na\0b\x1b[31m\n\n", (Cue(1000, 2000, "ab[31m"),)),
        (b"00:00:01,000 --> 00:00:02,000\n<b>a --> b\n\n", (Cue(1000, 2000, "<b>a --&gt; b</b>"),)),
        (TIMES + b"a\n" + TIMES + b"b", (Cue(1000, 2000, "a"), Cue(1000, 2000, "b"))),
    ],
)  # fmt: skip
async def test_odd_files_have_an_outcome(tmp_path: Path, data: bytes, expected: Read) -> None:
    assert await read(tmp_path, data) == expected


async def test_more_cues_than_the_limit_are_refused(tmp_path: Path) -> None:
    cue = "00:00:00,000 --> 09:00:00,000\nx{}\n\n"
    most = "".join(cue.format(number) for number in range(MAX_CUES))
    found = await read(tmp_path, most.encode())

    assert isinstance(found, tuple)
    assert len(found) == MAX_CUES
    assert await read(tmp_path, (most + cue).encode()) == TrackCode.SUBTITLES_TOO_LARGE
    assert await read(tmp_path, (cue * 130_000).encode()[: 5 << 20]) == TrackCode.SUBTITLES_TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [
        EVENT + b"{\\b1}" * 800_000,
        TIMES + b"<" * 4_000_000 + b"\n\n",
        TIMES + b"<i>" * 1_500_000 + b"\n\n",
        b"-->" * 1_700_000,
        b"WEBVTT\n" + b"&" * 5_000_000,
        b"\xff\xfe" + b"\xd8" * 5_000_000,
    ],
    ids=["overrides", "angles", "tags", "arrows", "references", "surrogates"],
)  # fmt: skip
async def test_hostile_file_ends_soon(tmp_path: Path, data: bytes) -> None:
    with capture_logs() as logs:
        await read(tmp_path, data)
    assert logs == []  # the child has answered within its limits of time and memory
