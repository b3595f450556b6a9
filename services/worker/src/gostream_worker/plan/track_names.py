"""Names of tracks for people. Pure."""

from collections.abc import Iterable
from itertools import chain, count

from gostream_worker.probe.model import SourceTrack

#: BCP 47 primary subtags of the languages in which most films are distributed. Others are named by their tag.
_NAMES = {
    "ar": "العربية", "bg": "Български", "bn": "বাংলা", "ca": "Català", "cs": "Čeština", "da": "Dansk",
    "de": "Deutsch", "el": "Ελληνικά", "en": "English", "es": "Español", "et": "Eesti", "eu": "Euskara",
    "fa": "فارسی", "fi": "Suomi", "fil": "Filipino", "fr": "Français", "gl": "Galego", "he": "עברית",
    "hi": "हिन्दी", "hr": "Hrvatski", "hu": "Magyar", "id": "Indonesia", "is": "Íslenska", "it": "Italiano",
    "ja": "日本語", "ko": "한국어", "lt": "Lietuvių", "lv": "Latviešu", "ms": "Melayu", "nb": "Norsk bokmål",
    "nl": "Nederlands", "no": "Norsk", "pl": "Polski", "pt": "Português", "ro": "Română", "ru": "Русский",
    "sk": "Slovenčina", "sl": "Slovenščina", "sr": "Српски", "sv": "Svenska", "ta": "தமிழ்", "te": "తెలుగు",
    "th": "ไทย", "tr": "Türkçe", "uk": "Українська", "vi": "Tiếng Việt", "zh": "中文",
}  # fmt: skip


def language_name(tag: str) -> str:
    """Returns the name of a language (BCP 47), with the rest of its tag in brackets: "Português (BR)"."""
    primary, _, rest = tag.partition("-")
    name = _NAMES.get(primary.lower(), primary)
    return f"{name} ({rest})" if rest else name


def name_of(track: SourceTrack) -> str:
    """Returns a track's title, or the name of its language with what it is; empty if nothing is known."""
    if track.title or not track.language:
        return track.title
    name = language_name(track.language)
    return f"{name} ({what})" if (what := _what(track)) else name


def _what(track: SourceTrack) -> str:
    if track.kind == "audio":
        return "audio description" if track.describes_video else "commentary" if track.is_commentary else ""
    return "forced" if track.is_forced else "SDH" if track.is_sdh else ""


def unique_names(names: Iterable[str], *, usual: str) -> list[str]:
    """Returns the names in order, each once, as RFC 8216 (4.3.4.1.1) requires in a group.

    An empty name becomes `usual`, and repeated ones get numbers from 2 on.
    """
    found: dict[str, None] = {}
    for name in names:
        first = name or usual
        numbered = (f"{first} {number}" for number in count(2))
        found[next(free for free in chain([first], numbered) if free not in found)] = None
    return list(found)
