"""The options of an encode, from the words of a command to the request."""

from pathlib import Path

import pytest
from typer import BadParameter

from cli.tests.conftest import Gostream
from gostream_cli.options import encoding, seconds_of
from tests.support.fake_server import ApiServer


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("90", 90), ("0", 0), ("1:30", 90), ("1:00:00.5", 3600.5), ("100:00", 6000)],
)
def test_times_are_read_in_usual_forms(text: str, seconds: float | None) -> None:
    assert seconds_of(text, "--start") == seconds


@pytest.mark.parametrize("text", ["-1", "1:", ":30", "1e3", "nan", "1:2:3:4", "1 s", "1" * 40, "٣"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(BadParameter):
        seconds_of(text, "--start")


def test_options_are_absent_unless_given() -> None:
    assert encoding("", "", "", [], "0") is None
    assert encoding("0", "", "", None, "0") is not None
    assert encoding("", "", "", None, "-16") is not None


async def test_process_sends_the_options(gostream: Gostream, server: ApiServer) -> None:
    ran = await gostream(
        *("process", "0190f5c8-0000-7000-8000-000000000000", "--server", server.address),
        *("--start", "1:30", "--end", "2:00.25", "--poster-at", "3"),
        *("--download", "audio", "--download", "highest", "--download", "audio"),
    )

    assert ran.code == 0, ran.stderr
    options = server.api.requests[-1].options
    assert options.start.ToTimedelta().total_seconds() == 90
    assert options.end.ToTimedelta().total_seconds() == 120.25
    assert options.poster_offset.ToTimedelta().total_seconds() == 3
    assert list(options.downloads) == ["audio", "highest"]


async def test_unknown_download_is_a_usage_error(gostream: Gostream, tmp_path: Path) -> None:
    ran = await gostream("upload", str(tmp_path / "a.mp4"), "--download", "lowest")

    assert ran.code == 2
    assert "highest, audio" in ran.stderr
