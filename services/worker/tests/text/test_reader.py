"""Reading texts in the jailed child."""

from pathlib import Path

import pytest

from gostream_shared.domain.tracks import TrackCode
from gostream_worker.text import child
from gostream_worker.text.cues import Cue
from gostream_worker.text.reader import TextFile, read_texts
from services.worker.tests.clips import ffmpeg


def matroska(folder: Path, cues: list[tuple[float, float, str]], encoding: str = "utf-8") -> TextFile:
    """A Matroska file with SubRip, as the encoder copies it."""
    blocks = [f"{n}\n{_time(start)} --> {_time(end)}\n{text}\n" for n, (start, end, text) in enumerate(cues)]
    srt = folder / "source.srt"
    srt.write_bytes("\n".join(blocks).encode(encoding))
    ffmpeg("-f", "srt", "-i", str(srt), "-c", "copy", "-f", "matroska", str(folder / "a.copy"))
    return TextFile(file="a.copy", codec="srt", language="en")


def _time(seconds: float) -> str:
    whole, rest = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{rest:03}"


async def test_cues_keep_their_times(tmp_path: Path) -> None:
    file = matroska(tmp_path, [(0.5, 1.25, "one"), (4000.125, 4001, "<b>two</b>")])

    (cues,) = await read_texts([file], tmp_path)

    assert cues == (Cue(500, 1250, "one"), Cue(4_000_125, 4_001_000, "<b>two</b>"))


async def test_text_of_another_encoding_is_read(tmp_path: Path) -> None:
    file = matroska(tmp_path, [(0, 1, "Größe"), (1, 2, "plain")], encoding="cp1252")

    assert await read_texts([file], tmp_path) == [(Cue(0, 1000, "Größe"), Cue(1000, 2000, "plain"))]


async def test_bad_files_do_not_hide_the_good_ones(tmp_path: Path) -> None:
    (tmp_path / "bad.copy").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 4)
    (tmp_path / "empty.copy").touch()
    bad = [
        TextFile(file=name, codec="srt", language="") for name in ("bad.copy", "empty.copy", "missing.copy")
    ]

    found = await read_texts([*bad, matroska(tmp_path, [(0, 1, "good")])], tmp_path)

    assert found == [*[TrackCode.UNREADABLE_SUBTITLES] * 3, (Cue(0, 1000, "good"),)]


async def test_child_reads_nothing_outside_its_folder(tmp_path: Path) -> None:
    inside = tmp_path / "work"
    inside.mkdir()
    secret = matroska(tmp_path, [(0, 1, "secret")])
    outside = TextFile(file=f"../{secret.file}", codec="srt", language="")

    assert await read_texts([outside], inside) == [TrackCode.UNREADABLE_SUBTITLES]


async def test_too_many_cues_are_refused(tmp_path: Path) -> None:
    file = matroska(tmp_path, [(n / 10, n / 10 + 0.05, "x") for n in range(child.MAX_CUES + 2)])

    assert await read_texts([file], tmp_path) == [TrackCode.SUBTITLES_TOO_LARGE]


async def test_too_much_text_is_refused(tmp_path: Path) -> None:
    file = matroska(tmp_path, [(n, n + 1, "x" * 100_000) for n in range(60)])

    assert await read_texts([file], tmp_path) == [TrackCode.SUBTITLES_TOO_LARGE]


@pytest.mark.parametrize("line", [b"", b"null\n", b"[[1]]\n", b'"NO_SUCH_CODE"\n', b"[[1,2,3]"])
async def test_answers_of_a_broken_child_are_codes(
    line: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nprintf '{line.decode()}'\n")
    program.chmod(0o755)
    monkeypatch.setattr("gostream_worker.text.reader.sys.executable", str(program))
    file = TextFile(file="a.copy", codec="srt", language="")

    assert await read_texts([file], tmp_path) == [TrackCode.UNREADABLE_SUBTITLES]
