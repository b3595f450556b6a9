"""Parsing of storyboard cues and JPEG sizes."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_conformance.errors import CuesError, PictureError
from gostream_conformance.formats.jpeg import jpeg_size
from gostream_conformance.formats.webvtt import Cue, Part, parse_cues
from gostream_conformance.tree.storyboards import storyboard_path

from .trees import run_ffmpeg

CUE = "00:01.000 --> 00:02.500\na.jpg#xywh=1,2,3,4\n"


def test_cue_times_and_regions_are_parsed() -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\na.jpg\n\n01:00:01.000 --> 123:00:02.500\na.jpg#xywh=1,2,3,4"

    assert parse_cues(text.encode()) == (
        Cue(line=3, start=0, end=1000, uri="a.jpg", part=None),
        Cue(line=6, start=3_601_000, end=442_802_500, uri="a.jpg", part=Part(1, 2, 3, 4)),
    )


@pytest.mark.parametrize(
    "text",
    [
        f"WEBVTT\n\n{CUE}",
        f"\ufeffWEBVTT - made by hand\nKind: metadata\n\n{CUE}",
        f"WEBVTT\r\n\r\n{CUE}".replace("\n", "\r\n").replace("\r\r", "\r"),
        f"WEBVTT\n\n{CUE}".replace("\n", "\r"),
        f"WEBVTT\n\nNOTE 00:00 --> is no cue\n\nSTYLE\n::cue {{}}\n\nthe first\n{CUE}\n\n\n",
        f"WEBVTT\n\n{CUE}".replace("02.500", "02.500 align:start").replace("xywh=", "xywh=pixel:"),
    ],
)
def test_optional_webvtt_blocks_are_skipped(text: str) -> None:
    [cue] = parse_cues(text.encode())

    assert (cue.start, cue.end, cue.uri, cue.part) == (1000, 2500, "a.jpg", Part(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n\nWEBVTT\n", 1),
        ("WEBVTTS\n", 1),
        (f"WEBVTT\n{CUE}", 2),
        ("WEBVTT\n\n00:01.000 --> 00:02.500\n", 3),
        ("WEBVTT\n\nname\n", 3),
        ("WEBVTT\n\n00:61.000 --> 00:62.000\na.jpg\n", 3),
        ("WEBVTT\n\n00:01.000-->00:02.000\na.jpg\n", 3),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\na.jpg#xywh=1,2,3\n", 4),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\na.jpg#t=10\n", 4),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\na.jpg#xywh=-1,2,3,4\n", 4),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\na.jpg\nb.jpg\n", 3),
    ],
)
def test_invalid_cues_are_refused_with_their_line(text: str, line: int) -> None:
    with pytest.raises(CuesError) as caught:
        parse_cues(text.encode())

    assert caught.value.line == line


def test_other_encodings_are_refused() -> None:
    with pytest.raises(CuesError, match="UTF-8"):
        parse_cues(f"WEBVTT\n\n{CUE}".encode("utf-16"))


@pytest.mark.parametrize("options", [(), ("-vf", "format=gray"), ("-huffman", "default")])
@pytest.mark.parametrize("size", [(1920, 1080), (2, 2), (193, 17)])
def test_jpeg_size_matches_the_encoded_size(
    tmp_path: Path, size: tuple[int, int], options: tuple[str, ...]
) -> None:
    source = f"color=s={size[0]}x{size[1]}:r=1:d=1"
    run_ffmpeg("-f", "lavfi", "-i", source, *options, "-update", "1", str(tmp_path / "made.jpg"))

    assert jpeg_size((tmp_path / "made.jpg").read_bytes()) == size


def test_truncated_jpeg_is_refused_trailing_bytes_are_ignored(
    tmp_path: Path,
) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=1:d=1", "-update", "1", str(tmp_path / "made.jpg"))
    whole = (tmp_path / "made.jpg").read_bytes()

    assert jpeg_size(whole + b"\x00\x00") == (64, 64)
    for length in range(len(whole)):
        with pytest.raises(PictureError):
            jpeg_size(whole[:length])


def test_end_marker_within_a_thumbnail_is_ignored() -> None:
    frame = b"\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00"
    thumbnail = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9"

    with pytest.raises(PictureError, match="the end is missing"):
        jpeg_size(b"\xff\xd8" + frame + thumbnail)


def test_fill_bytes_and_bare_markers_are_skipped() -> None:
    frame = b"\xff\xc2\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00"

    assert jpeg_size(b"\xff\xd8\xff\xff\xff\xe0\x00\x04ab\xff\x01" + frame + b"\xff\xd9") == (32, 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9\xff\xc0",
        b"\xff\xd8\xff\xe0\x00\x01",
        b"\xff\xd8\xff\xe0\x00\x04abXX\xff\xc0",
        b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x00\x20\x01\x01\x11\x00",
        b"\xff\xd8\xff\xc0\x00\x0b\x08\x00",
    ],
)
def test_jpeg_without_a_size_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError):
        jpeg_size(data)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_typed_errors(data: bytes) -> None:
    for prefix in (b"", b"\xff\xd8", b"WEBVTT\n\n"):
        with contextlib.suppress(PictureError):
            jpeg_size(prefix + data)
        with contextlib.suppress(CuesError):
            parse_cues(prefix + data)


@pytest.mark.parametrize(
    ("variant", "board"),
    [
        ("v1/720p/playlist.m3u8?token=/x/y", "v1/storyboard.vtt"),
        ("720p/playlist.m3u8", "storyboard.vtt"),
        ("early-720p.m3u8", "storyboard.vtt"),
    ],
)
def test_storyboard_is_next_to_the_variant_folders(variant: str, board: str) -> None:
    assert storyboard_path(variant) == board
