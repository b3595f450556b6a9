"""Container languages as playlist tags."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.probe.tracks.languages import language_tag


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ("eng", "en"),
        ("ger", "de"),
        ("deu", "de"),
        ("DEU", "de"),
        ("fil", "fil"),
        ("de", "de"),
        ("de-AT", "de-AT"),
        ("ger-AT", "de-AT"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("und", None),
        ("UND", None),
        ("zxx", None),
        ("mul", None),
        ("qaa", None),
        ("und-Latn", None),
        ("", None),
        ("english", None),
        ("en_US", None),
        ('en",URI="x', None),
        ("en\n#EXT", None),
        ("eng\n", None),
        ("eng\0", None),
        ("é", None),
        ("en" + "-abcdefgh" * 4, None),
    ],
)
def test_language_code_becomes_a_tag_or_none(said: str, tag: str | None) -> None:
    assert language_tag(said) == tag


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,6}")))
def test_only_valid_tags_reach_a_playlist(said: str) -> None:
    tag = language_tag(said)

    if tag is not None:
        assert re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*", tag)
        assert len(tag) <= 35
        assert language_tag(tag) == tag


def test_very_long_word_is_no_language() -> None:
    assert language_tag("en" + "-a" * 1_000_000) is None
