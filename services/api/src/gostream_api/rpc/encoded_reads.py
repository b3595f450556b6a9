"""GetVideo and BatchGetVideos from request bytes to response bytes, for every transport.

The functions return the encoded response and its layer. They raise the errors of the use case,
InvalidRequestError, and DecodeError for bytes that are not a request.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from gostream.v1.video_service_pb2 import (
    BatchGetVideosRequest,
    BatchGetVideosResponse,
    GetVideoRequest,
)
from gostream_api.principal import Principal
from gostream_api.reads.ports import Layer, LocalVideoReader, VideoReader
from gostream_api.rpc import validation
from gostream_shared.domain.errors import VideosNotFoundError

Answer = tuple[bytes, Layer]

_LENGTH_DELIMITED = 2
_VIDEOS = bytes((BatchGetVideosResponse.VIDEOS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,))
#: Largest request that is cached in decoded form: an id and a version.
_SHORT = 64
#: Layers from the fastest to the slowest.
_DISTANCE = {layer: distance for distance, layer in enumerate(Layer)}


async def get_video(reads: VideoReader, caller: Principal, request: bytes) -> Answer:
    video_id, min_version = validation.get_video(GetVideoRequest.FromString(request))
    read = await reads.get_video(caller, video_id, min_version=min_version)
    return read.reply.payload, read.layer


def get_video_locally(reads: LocalVideoReader, caller: Principal, request: bytes) -> Answer | None:
    """Like `get_video`, from L1 only; returns None on a miss."""
    if len(request) > _SHORT:
        video_id, min_version = validation.get_video(GetVideoRequest.FromString(request))
    else:
        video_id, min_version = _short_get_video_request(request)
    payload = reads.peek_video(caller, video_id, min_version=min_version)
    return None if payload is None else (payload, Layer.L1)


async def batch_get_videos(reads: VideoReader, caller: Principal, request: bytes) -> Answer:
    """Build the response from encoded videos; its layer is the slowest one of the videos.

    Raises VideosNotFoundError unless all videos exist.
    """
    video_ids = validation.batch_get_videos(BatchGetVideosRequest.FromString(request))
    found = await reads.get_videos(caller, video_ids)
    if missing := [video_id for video_id in dict.fromkeys(video_ids) if video_id not in found]:
        raise VideosNotFoundError(*missing)
    layer = slowest(read.layer for read in found.values())
    return concatenated(found[video_id].reply.payload for video_id in video_ids), layer


def batch_get_videos_locally(reads: LocalVideoReader, caller: Principal, request: bytes) -> Answer | None:
    """Like `batch_get_videos`, from L1 only; returns None on a miss."""
    video_ids = validation.batch_get_videos(BatchGetVideosRequest.FromString(request))
    payloads = reads.peek_videos(caller, video_ids)
    return None if payloads is None else (concatenated(payloads), Layer.L1)


@dataclass(frozen=True, slots=True)
class ReadCall:
    """The two implementations of one method: `local` reads L1 only, `load` may wait for a backend."""

    local: Callable[[LocalVideoReader, Principal, bytes], Answer | None]
    load: Callable[[VideoReader, Principal, bytes], Awaitable[Answer]]


READ_CALLS: Mapping[str, ReadCall] = {
    "GetVideo": ReadCall(get_video_locally, get_video),
    "BatchGetVideos": ReadCall(batch_get_videos_locally, batch_get_videos),
}


@lru_cache(maxsize=8192)
def _short_get_video_request(request: bytes) -> tuple[UUID, int]:
    """Parse a request. Repeated requests have equal bytes, and parsing costs more than the L1 read."""
    return validation.get_video(GetVideoRequest.FromString(request))


def slowest(layers: Iterable[Layer]) -> Layer:
    """Returns the layer of a batch, from those of its videos."""
    return max(layers, key=_DISTANCE.__getitem__)


def concatenated(payloads: Iterable[bytes]) -> bytes:
    """Returns the field `videos` of BatchGetVideosResponse and ListVideosResponse, from encoded videos."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (_VIDEOS, varint(len(payload)), payload)
    return b"".join(parts)


def varint(number: int) -> bytes:
    """Encode a length as a protobuf varint."""
    if number < 1 << 7:
        return bytes((number,))
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80,)) + varint(number >> 7)
