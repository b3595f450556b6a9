"""The words of a title that a listing asks for."""

import re

from gostream_api.rpc.fields.check import Check
from gostream_api.rpc.fields.limits import MAX_TITLE, MAX_WORDS, MIN_WORD

_PART = re.compile(rf"[a-zA-Z0-9]{{{MIN_WORD}}}|[^\x00-\x7f]")


def words(check: Check, title: str) -> tuple[str, ...]:
    """Returns the different words of the text."""
    check.text(title, "title", at_most=MAX_TITLE)
    found = tuple(sorted(set(title[: MAX_TITLE + 1].split())))
    check.that(len(found) <= MAX_WORDS, "title", f"must have at most {MAX_WORDS} words")
    if title:
        check.that(
            any(map(_PART.search, found)),
            "title",
            f"must have a word with {MIN_WORD} letters or digits in a row, or with a letter beyond ASCII",
        )
    return found
