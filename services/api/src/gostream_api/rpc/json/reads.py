"""GetVideo and BatchGetVideos from a path and a query to a JSON body, as google.api.http maps them.

Parsing raises InvalidRequestError, and RefusedError for a query that does not fit the request's fields. A
video's JSON is built once for each reply, and kept with it.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote
from uuid import UUID

import grpc

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from gostream_api.principal import Principal
from gostream_api.reads.ports import Layer, LocalVideoReader, VideoReply
from gostream_api.rpc import validation
from gostream_api.rpc.encoded_reads import slowest
from gostream_api.rpc.grpc_framing import RefusedError
from gostream_api.rpc.json.bodies import batch_body, video_body
from gostream_shared.domain.errors import VideosNotFoundError

Answer = tuple[bytes, Layer]

_INT64 = range(-(2**63), 2**63)
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}")


class JsonRead(Protocol):
    """The arguments of one call."""

    def peek(self, reads: LocalVideoReader, caller: Principal) -> Answer | None:
        """Returns the body from L1; None on a miss. Raises the errors of the use case."""
        ...

    async def load(self, reads: LocalVideoReader, caller: Principal) -> Answer:
        """Like `peek`, but may wait for a backend."""
        ...


@dataclass(frozen=True, slots=True)
class VideoRead:
    video_id: UUID
    min_version: int = 0

    def peek(self, reads: LocalVideoReader, caller: Principal) -> Answer | None:
        reply = reads.peek_reply(caller, self.video_id, min_version=self.min_version)
        return None if reply is None else (_json(reads, self.video_id, reply), Layer.L1)

    async def load(self, reads: LocalVideoReader, caller: Principal) -> Answer:
        read = await reads.get_video(caller, self.video_id, min_version=self.min_version)
        return _json(reads, self.video_id, read.reply), read.layer


@dataclass(frozen=True, slots=True)
class BatchRead:
    video_ids: list[UUID]

    def peek(self, reads: LocalVideoReader, caller: Principal) -> Answer | None:
        replies = reads.peek_replies(caller, self.video_ids)
        if replies is None:
            return None
        bodies = [reply.json for reply in replies if reply.json is not None]
        # To build many at once would block the loop.
        return (batch_body(bodies), Layer.L1) if len(bodies) == len(replies) else None

    async def load(self, reads: LocalVideoReader, caller: Principal) -> Answer:
        found = await reads.get_videos(caller, self.video_ids)
        if missing := [video_id for video_id in dict.fromkeys(self.video_ids) if video_id not in found]:
            raise VideosNotFoundError(*missing)
        bodies = {}
        for video_id, read in found.items():
            if read.reply.json is None:
                await asyncio.sleep(0)  # other tasks run between two slow steps
            bodies[video_id] = _json(reads, video_id, read.reply)
        layer = slowest(read.layer for read in found.values())
        return batch_body(bodies[video_id] for video_id in self.video_ids), layer


def get_video(segment: bytes, query: bytes) -> JsonRead:
    """Parse the arguments of GetVideo. `segment` is the last one of the path, percent-encoded."""
    text, min_version = unquote(segment), 0
    for name, value in _pairs(query):
        if name not in {"min_version", "minVersion"}:
            raise _unknown(name, GetVideoRequest.DESCRIPTOR.full_name)
        min_version = _number("min_version", value)
    video_id = validation.canonical_id(text)
    if video_id is None or min_version < 0:
        video_id, min_version = validation.get_video(GetVideoRequest(id=text, min_version=min_version))
    return VideoRead(video_id, min_version)


def batch_get_videos(_: bytes, query: bytes) -> JsonRead:
    """Parse the arguments of BatchGetVideos."""
    ids = []
    for name, value in _pairs(query):
        if name != "ids":
            raise _unknown(name, BatchGetVideosRequest.DESCRIPTOR.full_name)
        ids.append(value)
    return BatchRead(validation.batch_get_videos(BatchGetVideosRequest(ids=ids)))


JSON_READS: Mapping[str, Callable[[bytes, bytes], JsonRead]] = {
    "GetVideo": get_video,
    "BatchGetVideos": batch_get_videos,
}


def _json(reads: LocalVideoReader, video_id: UUID, reply: VideoReply) -> bytes:
    """Returns the JSON of a video, built by the first caller."""
    if reply.json is not None:
        return reply.json
    body = video_body(reply.payload)
    reads.keep_json(video_id, reply, body)
    return body


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    """Returns names and values. As at the edge, a plus is no space and a name without a value is ignored."""
    for part in query.split(b"&") if query else ():
        name, equals, value = part.partition(b"=")
        if name and equals:
            yield _text(name), _text(value)


def _text(part: bytes) -> str:
    return unquote(part) if b"%" in part else part.decode(errors="replace")


def _number(name: str, text: str) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else None
    if number is None or number not in _INT64:
        raise _invalid(f'{name}: invalid value "{text}" for type TYPE_INT64')
    return number


def _unknown(name: str, message: str) -> RefusedError:
    return _invalid(f'Could not find field "{name}" in the type "{message}".')


def _invalid(reason: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"invalid request ({reason})")
