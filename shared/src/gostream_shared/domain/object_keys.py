"""Keys in the object store that both services use."""

from uuid import UUID

#: The master playlist that viewers read, below the video's prefix.
MASTER = "master.m3u8"


#: The prefix of all sources.
SOURCES = "uploads/"
#: The master playlist for early playback of a running encode, below the encode's prefix.
EARLY_MASTER = "early.m3u8"


def gate_prefix(video_id: UUID) -> str:
    """Returns the prefix of all gates of a video, with a trailing slash."""
    return f"gate/{video_id}/"


def gate_key(video_id: UUID, gate: str) -> str:
    """Returns the object key of a gate. Edges serve the video only while the gate of the request exists."""
    return gate_prefix(video_id) + gate


def source_key(video_id: UUID) -> str:
    """Returns the object key of the uploaded source."""
    return f"{uploads_prefix(video_id)}source"


def uploads_prefix(video_id: UUID) -> str:
    """Returns the prefix of everything that was uploaded for a video, with a trailing slash."""
    return f"{SOURCES}{video_id}/"


def track_key(video_id: UUID, track_id: UUID) -> str:
    """Returns the object key of the file of an added track."""
    return f"{uploads_prefix(video_id)}tracks/{track_id}"


def hls_prefix(video_id: UUID) -> str:
    """Returns the prefix of all published objects of a video, with a trailing slash."""
    return f"hls/{video_id}/"


def master_key(video_id: UUID) -> str:
    """Returns the object key of the master playlist, the only mutable object of a published video."""
    return hls_prefix(video_id) + MASTER


def early_master_key(video_id: UUID, number: int) -> str:
    """Returns the object key of the master playlist for early playback of a running encode."""
    return encode_prefix(video_id, number) + EARLY_MASTER


def encode_prefix(video_id: UUID, number: int) -> str:
    """Returns the prefix of one encode's immutable objects, with a trailing slash."""
    return f"{hls_prefix(video_id)}v{number}/"
