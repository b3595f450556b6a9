"""Encodes entries as JSON for Redis, readable with `redis-cli HGETALL video:<id>`.

The bytes of the reply are next to the JSON, so that a hit needs no conversion.
"""

from zlib import crc32

from pydantic import TypeAdapter, ValidationError

from gostream_shared.cache.protocol import Entry
from gostream_shared.domain.video import Video

#: Incremented with every change of Video's fields. Replicas with another schema treat the entry as a miss.
SCHEMA = "9"
#: Incremented with every change of the encoded reply of a video that changes no field of Video.
REPLY_SCHEMA = "1"
_video = TypeAdapter(Video)


def reply_form(cdn_base_url: str) -> str:
    """Returns the form of the replies of this process. It reads the JSON of entries with another form."""
    return f"{SCHEMA}.{REPLY_SCHEMA}.{crc32(cdn_base_url.encode()):08x}"


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
