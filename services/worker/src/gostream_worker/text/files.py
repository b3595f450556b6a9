"""Reads whole files of subtitles: SubRip, WebVTT and SubStation Alpha. Runs in the jailed child."""

import re
import warnings
from collections.abc import Iterator

import pysubs2

from gostream_worker.text.cues import cue_text
from gostream_worker.text.formats import Reader, decoded, subrip, substation, webvtt

#: Milliseconds from the start and to the end of a cue, and its text.
Timed = tuple[tuple[int, int], str]

_CLOCK = r"(?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{1,2})[.,]([0-9]{1,3})"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_WEBVTT = "WEBVTT"
_SUBSTATION = re.compile(r"\s*\[Script Info\]", re.IGNORECASE)
_EVENTS = re.compile(r"^\[Events\]", re.IGNORECASE | re.MULTILINE)
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
#: Bytes that tell UTF-16 without a mark: every second one is mostly zero.
_SAMPLE = 1 << 10


def timed_texts(data: bytes, language: str, *, at_most: int) -> list[Timed]:
    """Returns the times and the WebVTT text of each cue, at most `at_most` + 1 of them.

    Raises ValueError for a file that is none of these formats.
    """
    text = _decoded(data, language)
    if _SUBSTATION.match(text):
        return list(_of_substation(text, at_most + 1))
    is_webvtt = text.startswith(_WEBVTT)
    blocks = list(_blocks(text, at_most + 1))
    if not blocks and not is_webvtt:
        raise ValueError("neither SubRip nor WebVTT nor SubStation Alpha")
    reader: Reader = webvtt if is_webvtt else subrip
    return [(times, cue_text(reader(said))) for times, said in blocks]


def _decoded(data: bytes, language: str) -> str:
    encoding = _UTF16.get(data[:2]) or _unmarked_utf16(data[:_SAMPLE])
    text = data.decode(encoding, "replace") if encoding else decoded([data], language)[0]
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _unmarked_utf16(sample: bytes) -> str | None:
    half = len(sample) // 2
    if half < 8:
        return None
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[first::2].count(0) > half * 0.7 and sample[1 - first :: 2].count(0) < half * 0.1:
            return encoding
    return None


def _blocks(text: str, at_most: int) -> Iterator[Timed]:
    """Yields the lines below each line with times, up to an empty line or the next times."""
    times: tuple[int, int] | None = None
    said: list[str] = []
    count = 0
    for line in text.split("\n"):
        found = _TIMES.fullmatch(line) if "-->" in line else None
        if times is not None and (found or not line.strip()):
            yield times, "\n".join(said)
            times, said, count = None, [], count + 1
            if count >= at_most:
                return
        if found:
            values = found.groups()
            times = _milliseconds(values[:4]), _milliseconds(values[4:])
        elif times is not None:
            said.append(line)
    if times is not None:
        yield times, "\n".join(said)


def _milliseconds(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole * 1000 + int((fraction or "0").ljust(3, "0"))


def _of_substation(text: str, at_most: int) -> Iterator[Timed]:
    events = _EVENTS.search(text)
    if events is None:
        return
    head, count = text[: events.start()], 0
    try:
        with warnings.catch_warnings(action="ignore"):  # malformed fields have defaults
            script = pysubs2.SSAFile.from_string(text, format_="ass")
    except (pysubs2.exceptions.Pysubs2Error, IndexError, KeyError, OverflowError) as error:
        raise ValueError(str(error)) from error
    reader = substation(head.encode("utf-8", "replace"))
    for event in script.events:
        if event.is_comment:
            continue
        # In the form of a packet of Matroska, which the reader knows.
        packet = f"0,0,{event.style},,0,0,0,,{event.text}"
        yield (event.start, event.end), cue_text(reader(packet))
        count += 1
        if count >= at_most:
            return
