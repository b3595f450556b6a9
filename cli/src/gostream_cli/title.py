"""A video's title out of the name of its file, by the rules that the API has for titles."""

import unicodedata
from pathlib import Path

MAX_TITLE = 200
UNTITLED = "untitled"
_JOINERS = frozenset("\u200c\u200d")  # what some languages and emoji need
_SEPARATORS = frozenset({"Cc", "Zl", "Zp"})
_HIDDEN = frozenset({"Cf", "Cs"})
#: Letters and symbols without a shape: Hangul fillers and the empty Braille pattern.
_SHAPELESS = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def derived_title(path: Path) -> str:
    """The file's name without its extension: a title that the API accepts, whatever the name.

    Bytes that are not UTF-8 become U+FFFD, control characters and line breaks spaces; what hides or
    reorders characters is left out; the rest is cut to MAX_TITLE characters. UNTITLED if nothing is visible.
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
