"""Detects characters that hide or reorder other characters in text for people.

Sources: Unicode Technical Report 36, Unicode Security Considerations; Unicode Technical Standard 51, Emoji.
"""

import re
import unicodedata

#: ZERO WIDTH NON-JOINER and JOINER, which some languages and emoji sequences need.
_JOINERS = frozenset("\u200c\u200d")
#: A subdivision flag: WAVING BLACK FLAG, its code in tag characters, CANCEL TAG.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
#: Visible format characters: number signs of three scripts (Prepended_Concatenation_Mark).
_SHAPED = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
#: Invisible letters and symbols: Hangul fillers and the empty Braille pattern.
_SHAPELESS = frozenset("\u115f\u1160\u3164\uffa0\u2800")

_UNSEEN = frozenset({"Cc", "Cf", "Mn", "Me", "Mc", "Zs", "Zl", "Zp"})


def has_control(text: str) -> bool:
    """Returns True for control characters and line or paragraph separators."""
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)


def has_invisible(text: str) -> bool:
    """Returns True for format characters: direction overrides, zero-width marks, tags outside a flag."""
    if text.isascii():
        return False
    return any(
        unicodedata.category(character) == "Cf" and character not in _JOINERS | _SHAPED
        for character in _FLAG.sub("", text)
    )


def is_blank(text: str) -> bool:
    """Returns True if no character is visible."""
    return all(unicodedata.category(character) in _UNSEEN or character in _SHAPELESS for character in text)
