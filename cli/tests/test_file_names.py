"""Uploads of files with any legal name; non-regular files are refused."""

import os
import socket
from pathlib import Path

import pytest

from gostream_client import InvalidInputError, SourceFile
from gostream_client.upload.title import MAX_TITLE, UNTITLED, derived_title
from tests.support.fake_server import ApiServer

from .conftest import Gostream


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (b"Holiday.mp4", "Holiday"),
        (b"a.b.mp4", "a.b"),
        (b"caf\xe9.mp4", "caf�"),
        (b"new\nline\ttab.mp4", "new line tab"),
        (b"-dash.mp4", "-dash"),
        (b"\x1b[31mred.mp4", "[31mred"),
        (b" x .mp4 ", "x"),
        (b"...", "..."),
        (b".mp4", ".mp4"),
        (b"x.", "x."),
        (b"\x01.mp4", UNTITLED),
        (b"  .mp4", UNTITLED),
        ("\u200b\u2800.mp4".encode(), UNTITLED),
        ("a\u202eb\u2028c\ufeffd.mp4".encode(), "ab cd"),
        ("\u0645\u06cc\u200c\u062e.mp4".encode(), "\u0645\u06cc\u200c\u062e"),
        (b"a" * 251 + b".mp4", "a" * MAX_TITLE),
        ("é".encode() * 125 + b".mp4", "é" * 125),
    ],
)
def test_every_file_name_gives_a_title(name: bytes, title: str) -> None:
    derived = derived_title(Path(os.fsdecode(name)))
    assert derived == title
    derived.encode()


@pytest.mark.parametrize("name", [b"-\xff\xfe\n.mp4", b"\xff" * 251 + b".mp4"])
async def test_files_with_unusual_names_are_uploaded(
    gostream: Gostream, server: ApiServer, tmp_path: Path, name: bytes
) -> None:
    film = tmp_path / os.fsdecode(name)
    film.write_bytes(b"film")
    ran = await gostream("upload", "-s", server.address, "--timeout", "30", "--", str(film))
    assert ran.code == 0, ran
    assert server.api.requests[0].title == derived_title(film)


@pytest.mark.parametrize("option", ["--title", "--user", "--content-type"])
async def test_non_utf8_option_is_a_usage_error(
    gostream: Gostream, server: ApiServer, tmp_path: Path, option: str
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    ran = await gostream("upload", str(film), option, os.fsdecode(b"\xff"), "-s", server.address)
    assert (ran.code, ran.stderr) == (2, "gostream: '\\udcff' is not UTF-8 text\n")
    assert not server.api.requests


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_make_pipe, "is a pipe and cannot be uploaded, because its size is unknown"),
        (_make_socket, "is a socket, not a file"),
        (Path.mkdir, "is a directory, not a file"),
        (Path.touch, "is empty"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
        (lambda path: None, "cannot be read: No such file or directory"),
    ],
)
def test_non_regular_file_is_refused_immediately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, words: str
) -> None:
    monkeypatch.chdir(tmp_path)  # socket paths must be short
    path = Path("source")
    assert callable(make)
    make(path)
    with pytest.raises(InvalidInputError, match=words):
        SourceFile(path)


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
async def test_stdin_is_refused_with_an_explanation(gostream: Gostream, path: str) -> None:
    ran = await gostream("upload", path)
    assert ran.code == 2
    assert "stdin" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_file_names_cannot_inject_terminal_escapes() -> None:
    with pytest.raises(InvalidInputError, match=r"^\\x1b\[31m\\n cannot be read"):
        SourceFile(Path("\x1b[31m\n"))
