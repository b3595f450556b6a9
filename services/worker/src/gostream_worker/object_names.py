"""Names of the objects of one encode, below `v{n}/`. No other module builds these names."""

from collections.abc import Sequence
from itertools import chain, count
from uuid import UUID

POSTER = "poster.jpg"
SHEET, CUES = "storyboard.jpg", "storyboard.vtt"
PREVIEW = "preview.webp"
#: The storyboard's tiles of one chunk, numbered by ffmpeg. They are not published.
TILES = "tile-%04d.png"
#: The folder of the film's own sound, and the group of all sounds in the master playlist.
AUDIO = "audio"
#: The group of all subtitles in the master playlist, and the beginning of their folders.
TEXT = "text"
#: The beginning of the folders of added tracks.
ADDED = "added-"
#: The file of the loudness meter in the work folder. It is not published.
LEVELS = "loudness.txt"
#: Segments of a rendition, numbered by ffmpeg.
SEGMENTS = "%05d.ts"
_TEXT_SEGMENT, _WHOLE_TEXT = "{:05d}.vtt", "subtitles.vtt"
_PLAYLIST, _IFRAMES = "playlist.m3u8", "iframes.m3u8"


def levels_of(number: int) -> str:
    """Returns the name of the file in the work folder that a measurement of a sound writes."""
    return f"{number}-{LEVELS}"


def sound_folders(languages: Sequence[str | None]) -> list[str]:
    """Returns a folder for each sound: AUDIO, then `audio-{language}` or `audio`, numbered if it is taken."""
    return _folders(AUDIO, languages, taken=[AUDIO])


def text_folders(languages: Sequence[str | None]) -> list[str]:
    """Returns a folder for each of the subtitles: `text-{language}` or `text`, numbered if it is taken."""
    return _folders(TEXT, languages, taken=[])


def added_folder(track_id: UUID) -> str:
    """Returns the folder of an added track. No name of `text_folders` begins like it."""
    return f"{ADDED}{track_id}"


def text_segment(number: int, attempt: int) -> str:
    """Returns the name of a segment of subtitles in their folder."""
    return attempted(_TEXT_SEGMENT.format(number), attempt)


def text_name(folder: str, attempt: int) -> str:
    """Returns the path of all subtitles of a folder in one file."""
    return f"{folder}/{attempted(_WHOLE_TEXT, attempt)}"


def text_copy(folder: str) -> str:
    """Returns the name of the copy of a text track in the work folder. It is not published."""
    return f"{folder}.copy"


def _folders(kind: str, languages: Sequence[str | None], *, taken: Sequence[str]) -> list[str]:
    found = list(taken)
    for language in languages[len(taken) :]:
        name = f"{kind}-{language}" if language else kind
        numbered = (f"{name}-{number}" for number in count(2))
        found.append(next(free for free in chain([name], numbered) if free not in found))
    return found[: len(languages)]


def attempted(name: str, attempt: int) -> str:
    """Returns the name of an object in that attempt. No other attempt uses it.

    Viewers and edges may have cached objects of an earlier attempt, and its worker may still be running.
    """
    stem, dot, suffix = name.rpartition(".")
    return name if attempt == 1 else f"{stem}-{attempt}{dot}{suffix}"


def is_of_attempt(name: str, attempt: int) -> bool:
    """Returns whether `attempted` produced the name for that attempt."""
    stem, dot, suffix = name.rpartition(".")
    return attempted(f"{stem.partition('-')[0]}{dot}{suffix}", attempt) == name


def segment_names(playlist: bytes) -> frozenset[str]:
    """Returns the segments that a media playlist names."""
    lines = playlist.decode().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def attempt_of(name: str) -> int:
    """Returns the attempt for which `attempted` produced the name."""
    number = name.rpartition(".")[0].partition("-")[2]
    return int(number) if number else 1


def playlist_name(attempt: int) -> str:
    """Returns the name of a rendition's playlist."""
    return attempted(_PLAYLIST, attempt)


def iframe_playlist_name(attempt: int) -> str:
    """Returns the name of a rung's I-frame playlist."""
    return attempted(_IFRAMES, attempt)
