"""Names of the objects of one encode, below `v{n}/`. No other module writes such a name."""

SHEET = "storyboard.jpg"


CUES = "storyboard.vtt"


POSTER = "poster.jpg"


_PLAYLIST = "playlist.m3u8"


_IFRAMES = "iframes.m3u8"


AUDIO = "audio"


def attempted(name: str, attempt: int) -> str:
    """The name that an object has in that attempt: no later one uses it again.

    Viewers and edges may have seen what an attempt before has left, and its worker may not be dead.
    """
    stem, dot, suffix = name.rpartition(".")
    return name if attempt == 1 else f"{stem}-{attempt}{dot}{suffix}"


def is_of_attempt(name: str, attempt: int) -> bool:
    """Whether `attempted` gave that name."""
    stem, dot, suffix = name.rpartition(".")
    return attempted(f"{stem.partition('-')[0]}{dot}{suffix}", attempt) == name


def playlist_name(attempt: int) -> str:
    """Of a rendition's playlist."""
    return attempted(_PLAYLIST, attempt)


def iframe_playlist_name(attempt: int) -> str:
    """Of a rung's I-frame playlist."""
    return attempted(_IFRAMES, attempt)
