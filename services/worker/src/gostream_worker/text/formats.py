"""Reads the packets of text tracks, each in the format of its codec. Runs in the jailed child."""

import warnings
from collections.abc import Callable, Iterator, Mapping

import pysubs2
from pysubs2.formats.substation import parse_tags

from gostream_worker.text.cues import Fragment, marked_up

#: Characters of one event of ASS. pysubs2 needs quadratic time for the tags of one.
_LONGEST_EVENT = 10_000
_EVENT_FIELDS = 8
#: The usual encodings of text files by language; others are Western European.
_ENCODINGS: Mapping[str, str] = {
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "sr"), "cp1251"),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "sl", "hr", "ro", "sq"), "cp1250"),
    "el": "cp1253",
    "tr": "cp1254",
    "he": "cp1255",
    "ar": "cp1256",
    "fa": "cp1256",
    "vi": "cp1258",
    "ja": "cp932",
    "zh": "gb18030",
    "ko": "cp949",
}

#: Returns the fragments of one packet's text.
Reader = Callable[[str], Iterator[Fragment]]


def decoded(packets: list[bytes], language: str) -> list[str]:
    """Returns the texts: UTF-8 if every packet is, else the usual encoding of the language (BCP 47)."""
    try:
        return [packet.decode("utf-8") for packet in packets]
    except UnicodeDecodeError:
        encoding = _ENCODINGS.get(language.partition("-")[0].lower(), "cp1252")
        return [packet.decode(encoding, "replace") for packet in packets]


def without_length(packet: bytes) -> bytes:
    """Returns the text of a sample of 3GPP timed text (TS 26.245): boxes with styles follow it."""
    text = packet[2 : 2 + int.from_bytes(packet[:2], "big")]
    for mark, encoding in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
        if text.startswith(mark):
            return text[2:].decode(encoding, "replace").encode()
    return text


def subrip(text: str) -> Iterator[Fragment]:
    return marked_up(text, has_references=False)


def webvtt(text: str) -> Iterator[Fragment]:
    return marked_up(text, has_references=True)


def plain(text: str) -> Iterator[Fragment]:
    yield text, frozenset()


def substation(header: bytes) -> Reader:
    """Returns a reader of the events of a script with that header. Drawings have no text."""
    styles = _styles(header)

    def read(text: str) -> Iterator[Fragment]:
        fields = text[:_LONGEST_EVENT].split(",", _EVENT_FIELDS)
        if len(fields) <= _EVENT_FIELDS:
            return
        style = styles.get(fields[2], pysubs2.SSAStyle())
        for piece, found in parse_tags(fields[-1], style, styles):
            if not found.drawing:
                shown = {"i": found.italic, "b": found.bold and not style.bold, "u": found.underline}
                words = piece.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
                yield words, frozenset(letter for letter, is_set in shown.items() if is_set)

    return read


def _styles(header: bytes) -> dict[str, pysubs2.SSAStyle]:
    """Returns the styles by name; none if the header is malformed."""
    try:
        with warnings.catch_warnings(action="ignore"):  # malformed fields have defaults
            return pysubs2.SSAFile.from_string(header.decode("utf-8", "replace"), format_="ass").styles
    except (pysubs2.exceptions.Pysubs2Error, ValueError, IndexError, KeyError, OverflowError):
        return {}
