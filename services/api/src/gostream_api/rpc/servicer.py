"""The gRPC servicer of gostream.v1.VideoService: each RPC validates, calls a use case and converts."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import grpc
import structlog
from google.protobuf.empty_pb2 import Empty

from gostream.v1 import video_pb2
from gostream.v1.video_service_pb2 import (
    DESCRIPTOR,
    CancelProcessRequest,
    CreateVideoRequest,
    CreateVideoResponse,
    DeleteVideoRequest,
    GetPlaybackInfoRequest,
    GetPlaybackInfoResponse,
    ListVideosRequest,
    RevokePlaybackRequest,
    TriggerProcessRequest,
    UndeleteVideoRequest,
    UpdateVideoRequest,
    WatchVideoRequest,
)
from gostream_api.principal import Principal
from gostream_api.reads.ports import Layer, LocalVideoReader, VideoReader
from gostream_api.rpc import encoded_reads, validation
from gostream_api.rpc.convert import playback_message, upload_message, video_message
from gostream_api.rpc.encoded_reads import READ_CALLS, ReadCall
from gostream_api.rpc.interceptors.base import Asked, Context, Handler, asked
from gostream_api.rpc.interceptors.clients import ClientOf, peer_address
from gostream_api.rpc.interceptors.local_hit import LocalHit
from gostream_api.rpc.interceptors.telemetry import add_trailers, request_id_of
from gostream_api.rpc.pages import PageEncoder
from gostream_api.videos.deletion import DeletionService
from gostream_api.videos.ingest import IngestService
from gostream_api.videos.playback import PlaybackService
from gostream_api.videos.trail import Origin
from gostream_api.videos.video_service import VideoService
from gostream_api.videos.watch import WatchService

SERVICE = DESCRIPTOR.services_by_name["VideoService"].full_name
CACHE = "x-cache"
_LAYERS = {layer: (CACHE, layer.value) for layer in Layer}


@dataclass(slots=True, kw_only=True)
class VideoServicer:
    """The RPCs of VideoService over its use cases."""

    videos: VideoService
    deletions: DeletionService
    ingest: IngestService
    reads: VideoReader
    watches: WatchService
    playback: PlaybackService
    cdn_base_url: str
    sizes: validation.SizeRule
    client_of: ClientOf = peer_address
    pages: PageEncoder = field(init=False)

    def __post_init__(self) -> None:
        self.pages = PageEncoder(self.cdn_base_url)

    async def CreateVideo(self, request: Asked[CreateVideoRequest], context: Context) -> CreateVideoResponse:  # noqa: N802
        draft = validation.create_video(request.message, self.sizes, signs=self.playback.signs)
        if draft.source is not None:
            video = await self.ingest.create_video(request.caller, self._origin(context), draft, draft.source)
            _note(video.id)
            return CreateVideoResponse(video=video_message(video, self.cdn_base_url))
        video, upload = await self.videos.create_video(request.caller, self._origin(context), draft)
        _note(video.id)
        return CreateVideoResponse(
            video=video_message(video, self.cdn_base_url), upload=upload_message(upload)
        )

    async def TriggerProcess(  # noqa: N802
        self, request: Asked[TriggerProcessRequest], context: Context
    ) -> video_pb2.Video:
        video_id, profile, loudness, options, request_id = validation.trigger_process(request.message)
        _note(video_id)
        video = await self.videos.trigger_process(
            request.caller,
            self._origin(context),
            video_id,
            profile=profile,
            options=options,
            loudness=loudness,
            request_id=request_id,
        )
        return video_message(video, self.cdn_base_url)

    async def CancelProcess(  # noqa: N802
        self, request: Asked[CancelProcessRequest], context: Context
    ) -> video_pb2.Video:
        video_id = validation.video_id(request.message)
        _note(video_id)
        video = await self.videos.cancel_process(request.caller, self._origin(context), video_id)
        return video_message(video, self.cdn_base_url)

    async def GetVideo(self, request: Asked[bytes], context: Context) -> bytes:  # noqa: N802
        payload, layer = await encoded_reads.get_video(self.reads, request.caller, request.message)
        add_trailers(context, _LAYERS[layer])
        return payload

    async def BatchGetVideos(self, request: Asked[bytes], context: Context) -> bytes:  # noqa: N802
        payload, layer = await encoded_reads.batch_get_videos(self.reads, request.caller, request.message)
        add_trailers(context, _LAYERS[layer])
        return payload

    async def ListVideos(self, request: Asked[ListVideosRequest], context: Context) -> bytes:  # noqa: N802
        which, page_size = validation.list_videos(request.message)
        page, next_token = await self.videos.list_videos(
            request.caller, which, page_size=page_size, token=request.message.page_token
        )
        return await self.pages.encode(page, next_token)

    async def DeleteVideo(self, request: Asked[DeleteVideoRequest], context: Context) -> Empty:  # noqa: N802
        video_id = validation.video_id(request.message)
        _note(video_id)
        etag, permanent = request.message.etag, request.message.permanent
        await self.deletions.delete_video(
            request.caller, self._origin(context), video_id, etag=etag, permanent=permanent
        )
        return Empty()

    async def UndeleteVideo(  # noqa: N802
        self, request: Asked[UndeleteVideoRequest], context: Context
    ) -> video_pb2.Video:
        video_id = validation.video_id(request.message)
        _note(video_id)
        video = await self.deletions.undelete_video(
            request.caller, self._origin(context), video_id, etag=request.message.etag
        )
        return video_message(video, self.cdn_base_url)

    async def UpdateVideo(self, request: Asked[UpdateVideoRequest], context: Context) -> video_pb2.Video:  # noqa: N802
        video_id, changes = validation.update_video(request.message, signs=self.playback.signs)
        _note(video_id)
        video = await self.videos.update_video(
            request.caller, self._origin(context), video_id, changes, etag=request.message.etag
        )
        return video_message(video, self.cdn_base_url)

    async def GetPlaybackInfo(  # noqa: N802
        self, request: Asked[GetPlaybackInfoRequest], context: Context
    ) -> GetPlaybackInfoResponse:
        video_id, ttl = validation.get_playback_info(request.message)
        _note(video_id)
        return playback_message(await self.playback.get_playback_info(request.caller, video_id, ttl=ttl))

    async def RevokePlayback(  # noqa: N802
        self, request: Asked[RevokePlaybackRequest], context: Context
    ) -> video_pb2.Video:
        video_id = validation.video_id(request.message)
        _note(video_id)
        video = await self.videos.revoke_playback(request.caller, self._origin(context), video_id)
        return video_message(video, self.cdn_base_url)

    async def WatchVideo(  # noqa: N802
        self, request: Asked[WatchVideoRequest], context: Context
    ) -> AsyncIterator[video_pb2.Video]:
        video_id = validation.video_id(request.message)
        _note(video_id)
        async with aclosing(self.watches.watch(request.caller, video_id)) as snapshots:
            async for snapshot in snapshots:
                yield video_message(snapshot.video, self.cdn_base_url, snapshot.progress)

    def _origin(self, context: Context) -> Origin:
        return Origin(request_id=request_id_of(context), peer=self.client_of(context))


def method_handlers(servicer: VideoServicer) -> dict[str, Handler]:
    """Returns the handler of each method, which takes an Asked request.

    The reads return bytes; GetVideo and BatchGetVideos take bytes.
    """
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    return {
        "CreateVideo": unary(
            servicer.CreateVideo, asked(CreateVideoRequest.FromString), CreateVideoResponse.SerializeToString
        ),
        "TriggerProcess": unary(
            servicer.TriggerProcess,
            asked(TriggerProcessRequest.FromString),
            video_pb2.Video.SerializeToString,
        ),
        "CancelProcess": unary(
            servicer.CancelProcess, asked(CancelProcessRequest.FromString), video_pb2.Video.SerializeToString
        ),
        "GetVideo": unary(servicer.GetVideo),
        "BatchGetVideos": unary(servicer.BatchGetVideos),
        "ListVideos": unary(servicer.ListVideos, asked(ListVideosRequest.FromString)),
        "DeleteVideo": unary(
            servicer.DeleteVideo, asked(DeleteVideoRequest.FromString), Empty.SerializeToString
        ),
        "UndeleteVideo": unary(
            servicer.UndeleteVideo,
            asked(UndeleteVideoRequest.FromString),
            video_pb2.Video.SerializeToString,
        ),
        "UpdateVideo": unary(
            servicer.UpdateVideo, asked(UpdateVideoRequest.FromString), video_pb2.Video.SerializeToString
        ),
        "GetPlaybackInfo": unary(
            servicer.GetPlaybackInfo,
            asked(GetPlaybackInfoRequest.FromString),
            GetPlaybackInfoResponse.SerializeToString,
        ),
        "RevokePlayback": unary(
            servicer.RevokePlayback,
            asked(RevokePlaybackRequest.FromString),
            video_pb2.Video.SerializeToString,
        ),
        "WatchVideo": stream(
            servicer.WatchVideo, asked(WatchVideoRequest.FromString), video_pb2.Video.SerializeToString
        ),
    }


def local_hits(reads: LocalVideoReader) -> dict[str, LocalHit]:
    """Returns the L1 lookups of GetVideo and BatchGetVideos by full method name."""
    return {f"/{SERVICE}/{name}": partial(_local_hit, call, reads) for name, call in READ_CALLS.items()}


def _local_hit(
    call: ReadCall, reads: LocalVideoReader, caller: Principal, request: bytes
) -> tuple[bytes, tuple[str, str]] | None:
    answer = call.local(reads, caller, request)
    return None if answer is None else (answer[0], _LAYERS[answer[1]])


def _note(video_id: UUID) -> None:
    """Add the video id to the following log lines of this RPC."""
    structlog.contextvars.bind_contextvars(video_id=str(video_id))
