"""Videos in memory for the fuzz targets."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from gostream_api.principal import Principal
from gostream_api.reads.ports import Layer, Read, VideoReply
from gostream_shared.domain.errors import VideoNotFoundError

HOT, COLD, ABSENT = (UUID(int=number) for number in (1, 2, 3))
PAYLOAD = b"\x0a\x01x"


class Reads:
    """HOT is in L1, COLD is loaded, ABSENT and others do not exist. Remembers what was asked of L1."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.waiting = 0

    def peek_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> bytes | None:
        self.asked.append((video_id, min_version))
        if video_id == ABSENT:
            raise VideoNotFoundError(video_id)
        return PAYLOAD if video_id == HOT else None

    def peek_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> list[bytes] | None:
        self.asked.append(list(video_ids))
        return [PAYLOAD for _ in video_ids] if set(video_ids) == {HOT} else None

    def peek_reply(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> VideoReply | None:
        payload = self.peek_video(caller, video_id, min_version=min_version)
        return None if payload is None else VideoReply(1, payload)

    def peek_replies(self, caller: Principal, video_ids: Sequence[UUID]) -> list[VideoReply] | None:
        payloads = self.peek_videos(caller, video_ids)
        return None if payloads is None else [VideoReply(1, payload) for payload in payloads]

    def keep_json(self, video_id: UUID, reply: VideoReply, json: bytes) -> None:
        reply.json = json

    async def get_video(self, caller: Principal, video_id: UUID, *, min_version: int = 0) -> Read:
        self.waiting += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.waiting -= 1
        if video_id != COLD:
            raise VideoNotFoundError(video_id)
        return Read(VideoReply(1, PAYLOAD), Layer.MISS)

    async def get_videos(self, caller: Principal, video_ids: Sequence[UUID]) -> dict[UUID, Read]:
        return {
            video_id: await self.get_video(caller, video_id) for video_id in video_ids if video_id == COLD
        }
