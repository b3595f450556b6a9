"""The form in which users name subtitles."""

import pytest
import typer

from cli.tests.conftest import Gostream
from gostream_cli.captions.specs import Caption, parsed


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("de=film.srt", Caption("de", "film.srt")),
        ("pt-BR:forced=a=b.srt", Caption("pt-BR", "a=b.srt", is_forced=True)),
        ("de:sdh:default=/x/f.vtt", Caption("de", "/x/f.vtt", is_sdh=True, is_default=True)),
        ("de=HTTPS://a.example/f.srt?x=1", Caption("de", "HTTPS://a.example/f.srt?x=1")),
    ],
)
def test_spec_names_language_marks_and_place(spec: str, expected: Caption) -> None:
    (found,) = parsed([spec], "--caption")

    assert found == expected
    assert found.is_url == ("://" in spec)


@pytest.mark.parametrize(
    "spec", ["", "film.srt", "de=", "=film.srt", ":forced=a.srt", "de:loud=a.srt", "de:=a"]
)
def test_other_specs_are_usage_errors(spec: str) -> None:
    with pytest.raises(typer.BadParameter):
        parsed([spec], "--caption")


def test_two_defaults_are_a_usage_error() -> None:
    with pytest.raises(typer.BadParameter, match="only one"):
        parsed(["de:default=a", "en:default=b"], "--caption")


async def test_wrong_spec_calls_no_server(gostream: Gostream) -> None:
    ran = await gostream("tracks", "add", "some-id", "film.srt", GOSTREAM_API_ADDR="127.0.0.1:1")

    assert ran.code == 2
    assert "is not LANGUAGE[:MARK]=FILE" in ran.stderr
