"""Text of subtitles as WebVTT cue text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostream_conformance.formats.subtitles import parse_text
from gostream_worker.text.cues import LONGEST, cue_text, marked_up
from gostream_worker.text.formats import decoded, plain, subrip, substation, webvtt, without_length

_STYLE = ",Arial,20,&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,-1,{},0,0,100,100,0,0,1,2,2,2,10,10,10,1"
HEADER = f"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default{_STYLE.format(0)}
Style: Off{_STYLE.format(-1)}
""".encode()
BAD_HEADERS = [b"", b"\xff\xfe\x00", b"[V4+ Styles]\nStyle: x\n", b"[V4+ Styles]\nFormat: Name\nStyle: a,b"]


def event(text: str, style: str = "Default") -> str:
    """A packet of ASS in Matroska."""
    return f"0,0,{style},,0,0,0,,{text}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a & b < c > d", "a &amp; b &lt; c &gt; d"),
        ("one --> two", "one --&gt; two"),
        ("<i>whisper</i> and <b>shout", "<i>whisper</i> and <b>shout</b>"),
        ("</i>never opened<i></i>", "never opened"),
        ('<font color="red"><script>alert(1)</script></font>', "alert(1)"),
        ("<v Anna>Hello<00:00:01.000> there", "Hello there"),
        ("{\\an8}top {\\pos(1,2)}left", "top left"),
        ("first\r\n\r\n\n second\rthird", "first\nsecond\nthird"),
        ("nul\x00 bell\x07 \x9bcontrol \ufeffmark", "nul bell control mark"),
        ("<b><i>both</b> half", "<b><i>both</i></b><i> half</i>"),
        ("<i> \n </i>", ""),
        ("&lt;i&gt; &amp;", "&amp;lt;i&amp;gt; &amp;amp;"),
    ],
)
def test_subrip_becomes_escaped_balanced_text(said: str, shown: str) -> None:
    assert cue_text(subrip(said)) == shown


def test_references_of_webvtt_are_kept_as_characters() -> None:
    assert cue_text(webvtt("<i>you &amp; me &lt;3</i>")) == "<i>you &amp; me &lt;3</i>"


def test_plain_text_has_no_markup() -> None:
    assert cue_text(plain("<i>5 < 6</i>")) == "&lt;i&gt;5 &lt; 6&lt;/i&gt;"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (event("{\\i1}Hello{\\i0}, world\\Nagain"), "<i>Hello</i>, world\nagain"),
        (event("{\\p1}m 0 0 l 100 0 100 100{\\p0}"), ""),
        (event("{\\p1}m 0 0 l 1 1{\\p0}after"), "after"),
        (event("off screen", style="Off"), "<i>off screen</i>"),
        (event("no such style", style="Nobody"), "no such style"),
        (event("a, b, c"), "a, b, c"),
        ("too,few,fields", ""),
        (event("{unclosed \\i1"), "{unclosed \\i1"),
    ],
)
def test_substation_events_lose_drawings_only(said: str, shown: str) -> None:
    assert cue_text(substation(HEADER)(said)) == shown


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_malformed_header_leaves_the_text(header: bytes) -> None:
    assert cue_text(substation(header)(event("text"))) == "text"


@pytest.mark.parametrize("repeated", ["<", "<a", "{\\", "<i>", "{\\i1}", "&", "\n", "x"])
def test_huge_text_is_cut_in_time(repeated: str) -> None:
    huge = repeated * (1_000_000 // len(repeated))

    for reader in (subrip, webvtt, plain, substation(HEADER)):
        shown = cue_text(reader(event(huge)))
        assert len(re.sub(r"</?[biu]>|&\w+;", "x", shown)) <= LONGEST * 8


@given(st.lists(st.text(st.sampled_from("ab<>/iu&;-{}\\\n\r\0 >")), max_size=5))
def test_any_text_is_one_cue_of_webvtt(lines: list[str]) -> None:
    text = cue_text(marked_up("\n".join(lines), has_references=True))

    file = f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n{text or 'x'}\n\n00:00:03.000 --> 00:00:04.000\nlast\n"
    assert [cue.start for cue in parse_text(file.encode()).cues] == [1000, 3000]
    for letter in "biu":
        assert text.count(f"<{letter}>") == text.count(f"</{letter}>")


@pytest.mark.parametrize(
    ("language", "encoding", "text"),
    [("", "cp1252", "Größe"), ("ru", "cp1251", "Привет"), ("pl", "cp1250", "Łódź"), ("ja", "cp932", "字幕")],
)
def test_text_of_another_encoding_is_decoded(language: str, encoding: str, text: str) -> None:
    assert decoded([text.encode(encoding), b"plain"], language) == [text, "plain"]


def test_timed_text_samples_lose_length_and_boxes() -> None:
    assert without_length(b"\x00\x05Hello" + b"\x00\x00\x00\x0cstyl\x00\x00\x00\x00") == b"Hello"
    assert without_length(b"\x00\x06\xfe\xff\x00H\x00i") == b"Hi"
    assert without_length(b"\xff\xffshort") == b"short"
    assert without_length(b"") == b""
