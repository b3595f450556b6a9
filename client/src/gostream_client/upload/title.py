"""Derives a video title from a file name, by the API's rules for titles."""

import unicodedata
from pathlib import Path

MAX_TITLE = 200  # characters
UNTITLED = "untitled"
_JOINERS = frozenset("\u200c\u200d")  # some languages and emoji need them
_SEPARATORS = frozenset({"Cc", "Zl", "Zp"})
_HIDDEN = frozenset({"Cf", "Cs"})
#: Invisible letters and symbols: Hangul fillers and the empty Braille pattern.
_SHAPELESS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def derived_title(path: Path) -> str:
    """Returns the file name without its extension, as a title that the API accepts.

    Bytes that are not UTF-8 become U+FFFD; control characters and line breaks become spaces. Characters that
    hide or reorder others are removed, and the title is cut to MAX_TITLE characters. Returns UNTITLED if no
    character is visible.
    """
    text = path.stem.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    kept = "".join(map(_kept, text))
    title = " ".join(kept.split())[:MAX_TITLE].strip()
    return title if any(map(_is_visible, title)) else UNTITLED


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SEPARATORS:
        return " "
    return "" if category in _HIDDEN and character not in _JOINERS else character


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS" and character not in _SHAPELESS
