"""Encodes entries as JSON for Redis, readable with `redis-cli HGETALL video:<id>`."""

from pydantic import TypeAdapter, ValidationError

from gostream_shared.cache.protocol import Entry
from gostream_shared.domain.video import Video

#: Incremented with every change of Video's fields. Replicas with another schema treat the entry as a miss.
SCHEMA = "4"
_video = TypeAdapter(Video)


def encode_entry(entry: Entry) -> bytes:
    """Returns the `data` field; empty for a video that does not exist."""
    return b"" if entry.video is None else _video.dump_json(entry.video)


def decode_entry(version: int, data: bytes) -> Entry | None:
    """Decode the `data` field. Returns None if this release cannot read it."""
    if not data:
        return Entry(version, None)
    try:
        return Entry(version, _video.validate_json(data))
    except ValidationError:
        return None
