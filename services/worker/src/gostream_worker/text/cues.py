"""Turns the text of subtitles into the text of WebVTT cues. Pure."""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Characters of a cue; the rest of a longer one is dropped.
LONGEST = 2_000
_TAG = re.compile(r"<(/?)([A-Za-z])([^<>]*)>|<[0-9:.]+>")
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")
_STYLES = "biu"
#: Control characters except the line feed, and the byte order mark.
_DROPPED = {number: None for number in (*range(32), *range(0x7F, 0xA0), 0xFEFF) if number != ord("\n")}


@dataclass(frozen=True, slots=True)
class Cue:
    """A text that is shown from `start` to `end`, in ms from the film's start.

    `text` is WebVTT's cue text.
    """

    start: int
    end: int
    text: str


#: A piece of text without markup, and its styles: letters of "biu".
Fragment = tuple[str, frozenset[str]]


def cue_text(fragments: Iterable[Fragment]) -> str:
    """Returns WebVTT's cue text: escaped, in balanced tags, without empty lines; "" if nothing is shown."""
    pieces: list[str] = []
    current: frozenset[str] = frozenset()
    for text, styles in _within_limit(fragments):
        if styles != current:
            pieces += [_closed(current), "".join(f"<{style}>" for style in _STYLES if style in styles)]
            current = styles
        pieces.append(html.escape(text, quote=False))
    pieces.append(_closed(current))
    lines = (line.strip() for line in "".join(pieces).split("\n"))
    shown = "\n".join(line for line in lines if line)
    return shown if _TAG.sub("", shown).strip() else ""


def _closed(styles: frozenset[str]) -> str:
    return "".join(f"</{style}>" for style in reversed(_STYLES) if style in styles)


def _within_limit(fragments: Iterable[Fragment]) -> Iterator[Fragment]:
    left = LONGEST
    for text, styles in fragments:
        printable = _printable(text)[:left]
        left -= len(printable)
        if printable:
            yield printable, styles


def _printable(text: str) -> str:
    """Returns the text without control characters and with line feeds only."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_DROPPED)


def marked_up(text: str, *, has_references: bool) -> Iterator[Fragment]:
    """Splits text with tags as SubRip and WebVTT have. Keeps bold, italic and underlined text.

    `has_references`: `&amp;` and the like stand for characters.
    """
    styles: frozenset[str] = frozenset()
    text, at = _OVERRIDE.sub("", text), 0
    for tag in _TAG.finditer(text):
        yield _resolved(text[at : tag.start()], has_references), styles
        at = tag.end()
        closes, letter, rest = tag.groups(default="")
        style = letter.lower()
        if style in _STYLES and style and (not rest or rest[0] in " .\t/"):
            styles = styles - {style} if closes else styles | {style}
    yield _resolved(text[at:], has_references), styles


def _resolved(text: str, has_references: bool) -> str:
    return html.unescape(text) if has_references else text
