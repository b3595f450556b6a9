"""The gRPC servicer of gostream.v1.TrackService: each RPC validates, calls a use case and converts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf.empty_pb2 import Empty

from gostream.v1 import track_service_pb2, video_pb2
from gostream_api.rpc.convert import track_message, upload_message
from gostream_api.rpc.interceptors.base import Asked, Context, Handler, asked
from gostream_api.rpc.interceptors.clients import ClientOf
from gostream_api.rpc.interceptors.telemetry import request_id_of
from gostream_api.rpc.tracks import validation
from gostream_api.tracks.track_service import ShownTrack, TrackService
from gostream_api.videos.trail import Origin

TRACKS = track_service_pb2.DESCRIPTOR.services_by_name["TrackService"].full_name


@dataclass(frozen=True, slots=True)
class TrackServicer:
    """The RPCs of TrackService over its use cases."""

    tracks: TrackService
    cdn_base_url: str
    client_of: ClientOf

    async def AddTrack(  # noqa: N802
        self, request: Asked[track_service_pb2.AddTrackRequest], context: Context
    ) -> track_service_pb2.AddTrackResponse:
        draft = validation.add_track(request.message)
        origin = self._origin(context, request.message.video_id)
        added, upload = await self.tracks.add_track(request.caller, origin, draft)
        response = track_service_pb2.AddTrackResponse(track=self._message(added))
        if upload is not None:
            response.upload.CopyFrom(upload_message(upload))
        return response

    async def PrepareTrack(  # noqa: N802
        self, request: Asked[track_service_pb2.PrepareTrackRequest], context: Context
    ) -> video_pb2.Track:
        video_id, track_id = validation.one_track(request.message)
        origin = self._origin(context, request.message.video_id)
        return self._message(await self.tracks.prepare_track(request.caller, origin, video_id, track_id))

    async def UpdateTrack(  # noqa: N802
        self, request: Asked[track_service_pb2.UpdateTrackRequest], context: Context
    ) -> video_pb2.Track:
        video_id, track_id, changes = validation.update_track(request.message)
        origin = self._origin(context, request.message.video_id)
        return self._message(
            await self.tracks.update_track(request.caller, origin, video_id, track_id, changes)
        )

    async def DeleteTrack(  # noqa: N802
        self, request: Asked[track_service_pb2.DeleteTrackRequest], context: Context
    ) -> Empty:
        video_id, track_id = validation.one_track(request.message)
        origin = self._origin(context, request.message.video_id)
        await self.tracks.delete_track(request.caller, origin, video_id, track_id)
        return Empty()

    async def ListTracks(  # noqa: N802
        self, request: Asked[track_service_pb2.ListTracksRequest], context: Context
    ) -> track_service_pb2.ListTracksResponse:
        video_id = validation.video_id(request.message)
        self._origin(context, request.message.video_id)
        video, tracks = await self.tracks.list_tracks(request.caller, video_id)
        messages = [track_message(video, track, self.cdn_base_url) for track in tracks]
        return track_service_pb2.ListTracksResponse(tracks=messages)

    def _message(self, shown: ShownTrack) -> video_pb2.Track:
        return track_message(shown.video, shown.track, self.cdn_base_url)

    def _origin(self, context: Context, video_id: str) -> Origin:
        """Returns where the call comes from. Adds the valid video id to the log lines of this RPC."""
        structlog.contextvars.bind_contextvars(video_id=video_id)
        return Origin(request_id=request_id_of(context), peer=self.client_of(context))


def track_handlers(servicer: TrackServicer) -> dict[str, Handler]:
    """Returns the handler of each method, which takes an Asked request."""
    messages = track_service_pb2
    track = video_pb2.Track.SerializeToString

    def unary(
        method: Callable[..., Any], parse: Callable[[bytes], Any], serialize: Callable[[Any], bytes]
    ) -> Handler:
        return grpc.unary_unary_rpc_method_handler(method, asked(parse), serialize)

    return {
        "AddTrack": unary(
            servicer.AddTrack,
            messages.AddTrackRequest.FromString,
            messages.AddTrackResponse.SerializeToString,
        ),
        "PrepareTrack": unary(servicer.PrepareTrack, messages.PrepareTrackRequest.FromString, track),
        "UpdateTrack": unary(servicer.UpdateTrack, messages.UpdateTrackRequest.FromString, track),
        "DeleteTrack": unary(
            servicer.DeleteTrack, messages.DeleteTrackRequest.FromString, Empty.SerializeToString
        ),
        "ListTracks": unary(
            servicer.ListTracks,
            messages.ListTracksRequest.FromString,
            messages.ListTracksResponse.SerializeToString,
        ),
    }
