"""Names of the objects of one encode, below `v{n}/`. No other module builds these names."""

POSTER = "poster.jpg"
SHEET, CUES = "storyboard.jpg", "storyboard.vtt"
#: The folder of the sound, and its group in the master playlist.
AUDIO = "audio"
#: Segments of a rendition, numbered by ffmpeg.
SEGMENTS = "%05d.ts"
_PLAYLIST, _IFRAMES = "playlist.m3u8", "iframes.m3u8"


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


def playlist_name(attempt: int) -> str:
    """Returns the name of a rendition's playlist."""
    return attempted(_PLAYLIST, attempt)


def iframe_playlist_name(attempt: int) -> str:
    """Returns the name of a rung's I-frame playlist."""
    return attempted(_IFRAMES, attempt)
