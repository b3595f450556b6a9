"""The hot reads from the bytes of a request to the bytes of its response: every transport calls these.

Each answers the encoded response and where it came from, and raises what the use case raises,
InvalidRequestError, and DecodeError for bytes that are not a request.
"""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, BatchGetVideosResponse, GetVideoRequest
from gostream_api import validation
from gostream_api.reads import Layer, Read, VideoReader
from gostream_shared.domain.errors import VideosNotFoundError

Answer = tuple[bytes, Layer]

_LENGTH_DELIMITED = 2
_VIDEOS = bytes((BatchGetVideosResponse.VIDEOS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,))
#: From the nearest to the farthest.
_DISTANCE = {layer: distance for distance, layer in enumerate(Layer)}


async def get_video(reads: VideoReader, request: bytes) -> Answer:
    video_id, min_version = validation.get_video(GetVideoRequest.FromString(request))
    read = await reads.get_video(video_id, min_version=min_version)
    return read.reply.payload, read.layer


async def batch_get_videos(reads: VideoReader, request: bytes) -> Answer:
    """The response is put together from encoded videos; the layer is the farthest of theirs.

    Raises VideosNotFoundError unless all exist.
    """
    video_ids = validation.batch_get_videos(BatchGetVideosRequest.FromString(request))
    found = await reads.get_videos(video_ids)
    if missing := [video_id for video_id in dict.fromkeys(video_ids) if video_id not in found]:
        raise VideosNotFoundError(*missing)
    return _concatenated(video_ids, found), max(
        (read.layer for read in found.values()), key=_DISTANCE.__getitem__
    )


METHODS: Mapping[str, Callable[[VideoReader, bytes], Awaitable[Answer]]] = {
    "GetVideo": get_video,
    "BatchGetVideos": batch_get_videos,
}


def _concatenated(video_ids: list[UUID], found: Mapping[UUID, Read]) -> bytes:
    parts: list[bytes] = []
    for video_id in video_ids:
        payload = found[video_id].reply.payload
        parts += (_VIDEOS, varint(len(payload)), payload)
    return b"".join(parts)


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + varint(number >> 7)
