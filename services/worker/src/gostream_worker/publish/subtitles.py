"""Cuts subtitles into WebVTT segments on the clock of the pictures (RFC 8216, 3.5). Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gostream_shared.domain.tracks import TrackCode
from gostream_worker.encode.command import TIME_OFFSET
from gostream_worker.media_units import CLOCK
from gostream_worker.object_names import playlist_name, text_name, text_segment
from gostream_worker.plan.clip import Clip
from gostream_worker.plan.texts import Text
from gostream_worker.publish.playlists import Segment, media_playlist
from gostream_worker.text.cues import Cue
from gostream_worker.text.reader import Read

#: Characters of all segments of one text: a cue is repeated in every segment during which it is shown.
_MAX_CHARACTERS = 32 << 20
#: Time zero of the cues is the start of the source, which every output shifts by TIME_OFFSET.
_MAP = f"X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{TIME_OFFSET * CLOCK}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedText:
    """Subtitles with their playlist, and their other files by path below the encode's prefix."""

    text: Text
    playlist: str
    files: Mapping[str, str]


def publish_texts(
    texts: Mapping[Text, Read], pictures: Sequence[Segment], *, begins: int, target: int, attempt: int
) -> tuple[list[PublishedText], Mapping[int, TrackCode]]:
    """Returns the published texts, and the reasons of the others by track index.

    `pictures`: the segments of a rung, whose first picture is at `begins` on the 90 kHz clock.
    """
    published, reasons = [], dict[int, TrackCode]()
    starts = [*accumulate((part.ticks for part in pictures), initial=begins - TIME_OFFSET * CLOCK)]
    bounds = [tick * 1000 // CLOCK for tick in starts]
    for text, read in texts.items():
        if isinstance(read, TrackCode):
            reasons[text.index] = read
            continue
        cues = [cue for cue in read if cue.start < bounds[-1]]
        if not cues:
            reasons[text.index] = TrackCode.EMPTY_TRACK
        elif _characters(cues, bounds) > _MAX_CHARACTERS:
            reasons[text.index] = TrackCode.SUBTITLES_TOO_LARGE
        else:
            published.append(_published(text, cues, pictures, bounds, target=target, attempt=attempt))
    return published, reasons


def shown_in(clip: Clip | None, cues: Read) -> Read:
    """Returns the cues that are shown in a clip, with times from its start. Without a clip, all of them."""
    if clip is None or not isinstance(cues, tuple):
        return cues
    begin, end = round(clip.start * 1000), round(clip.end * 1000)
    return tuple(
        Cue(max(0, cue.start - begin), min(cue.end, end) - begin, cue.text)
        for cue in cues
        if cue.start < end and cue.end > begin
    )


def _characters(cues: Sequence[Cue], bounds: Sequence[int]) -> int:
    return sum(len(cue.text) * len(_places(cue, bounds)) for cue in cues)


def _places(cue: Cue, bounds: Sequence[int]) -> range:
    """Returns the numbers of the segments during which the cue is shown. `bounds` has one more than those."""
    first = max(0, bisect_right(bounds, cue.start) - 1)
    last = min(bisect_left(bounds, cue.end), len(bounds) - 1)
    return range(first, max(first + 1, last))


def _published(
    text: Text,
    cues: Sequence[Cue],
    pictures: Sequence[Segment],
    bounds: Sequence[int],
    *,
    target: int,
    attempt: int,
) -> PublishedText:
    parts: list[list[str]] = [[] for _ in pictures]
    for cue in cues:
        for number in _places(cue, bounds):
            parts[number].append(_cue(cue))
    names = [text_segment(number, attempt) for number in range(len(parts))]
    segments = [
        Segment(name=name, ticks=picture.ticks, size=0) for name, picture in zip(names, pictures, strict=True)
    ]
    files = {
        f"{text.folder}/{name}": _file(["WEBVTT", _MAP], part)
        for name, part in zip(names, parts, strict=True)
    }
    files[text_name(text.folder, attempt)] = _file(["WEBVTT"], list(map(_cue, cues)))
    files[f"{text.folder}/{playlist_name(attempt)}"] = media_playlist(segments, target=target)
    return PublishedText(text=text, playlist=f"{text.folder}/{playlist_name(attempt)}", files=files)


def _file(head: Sequence[str], cues: Sequence[str]) -> str:
    return "\n".join([*head, "", *cues])


def _cue(cue: Cue) -> str:
    return f"{_clock(cue.start)} --> {_clock(cue.end)}\n{cue.text}\n"


def _clock(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
