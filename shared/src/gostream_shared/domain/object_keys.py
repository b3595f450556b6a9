"""Keys in the object store that both services use."""

from uuid import UUID

#: The master playlist that viewers read, below the video's prefix.
MASTER = "master.m3u8"


#: The master playlist of an encode that is still at work, below the encode's prefix.
EARLY_MASTER = "early.m3u8"


def source_key(video_id: UUID) -> str:
    """Object key of the uploaded source."""
    return f"uploads/{video_id}/source"


def hls_prefix(video_id: UUID) -> str:
    """Prefix below which everything that viewers may read is published, with a trailing slash."""
    return f"hls/{video_id}/"


def master_key(video_id: UUID) -> str:
    """Object key of the master playlist: the one mutable object of a video."""
    return hls_prefix(video_id) + MASTER


def early_master_key(video_id: UUID, number: int) -> str:
    """Object key of the master playlist of an encode that is still at work."""
    return encode_prefix(video_id, number) + EARLY_MASTER


def encode_prefix(video_id: UUID, number: int) -> str:
    """Prefix of one encode's immutable objects, with a trailing slash."""
    return f"{hls_prefix(video_id)}v{number}/"
