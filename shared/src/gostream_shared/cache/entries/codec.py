"""Entries ↔ the JSON in Redis: readable with `redis-cli HGETALL video:<id>`."""

from pydantic import TypeAdapter, ValidationError

from gostream_shared.cache.protocol import Entry
from gostream_shared.domain.video import Video

#: Raised whenever Video's shape changes. Replicas of another schema take the entry for a miss.
SCHEMA = "3"
_video = TypeAdapter(Video)


def encode_entry(entry: Entry) -> bytes:
    """The `data` field; empty for a video that does not exist."""
    return b"" if entry.video is None else _video.dump_json(entry.video)


def decode_entry(version: int, data: bytes) -> Entry | None:
    """What `encode_entry` wrote; None when it is not ours to read."""
    if not data:
        return Entry(version, None)
    try:
        return Entry(version, _video.validate_json(data))
    except ValidationError:
        return None
