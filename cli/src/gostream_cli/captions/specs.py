"""The form in which users name subtitles: LANGUAGE[:forced][:sdh][:default]=FILE."""

from collections.abc import Sequence
from dataclasses import dataclass

import typer

METAVAR = "LANGUAGE[:MARK]=FILE"
MARKS = ("forced", "sdh", "default")
_URLS = ("https://", "http://")


@dataclass(frozen=True, slots=True)
class Caption:
    """Subtitles to add. `place`: a path or a URL."""

    language: str
    place: str
    is_forced: bool = False
    is_sdh: bool = False
    is_default: bool = False

    @property
    def is_url(self) -> bool:
        return self.place.lower().startswith(_URLS)


def parsed(specs: Sequence[str] | None, option: str) -> list[Caption]:
    """Returns the subtitles of an option, such as "de:forced=film.srt". Raises BadParameter."""
    found = [_parsed(spec, option) for spec in specs or ()]
    if sum(caption.is_default for caption in found) > 1:
        raise typer.BadParameter("only one of the subtitles can be the default", param_hint=option)
    return found


def _parsed(spec: str, option: str) -> Caption:
    what, is_given, place = spec.partition("=")
    language, *marks = what.split(":")
    if not (is_given and language and place):
        raise typer.BadParameter(f"{spec!r} is not {METAVAR}, such as de=film.de.srt", param_hint=option)
    if unknown := sorted(set(marks) - set(MARKS)):
        raise typer.BadParameter(
            f"{spec!r}: {unknown[0]!r} is none of: {', '.join(MARKS)}", param_hint=option
        )
    return Caption(
        language=language,
        place=place,
        is_forced="forced" in marks,
        is_sdh="sdh" in marks,
        is_default="default" in marks,
    )
