"""The gRPC servicer of gostream.v1.UploadService: each RPC validates, calls a use case and converts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from gostream.v1 import upload_pb2, upload_service_pb2, video_pb2
from gostream_api.rpc.convert import video_message
from gostream_api.rpc.interceptors.base import Asked, Context, Handler, asked
from gostream_api.rpc.interceptors.clients import ClientOf
from gostream_api.rpc.interceptors.telemetry import request_id_of
from gostream_api.rpc.uploads import validation
from gostream_api.rpc.uploads.convert import session_message, signed_message
from gostream_api.uploads.stored_parts import SessionStatus
from gostream_api.uploads.upload_service import UploadService
from gostream_api.videos.trail import Origin

UPLOADS = upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"].full_name


@dataclass(frozen=True, slots=True)
class UploadServicer:
    """The RPCs of UploadService over its use cases."""

    uploads: UploadService
    cdn_base_url: str
    client_of: ClientOf

    async def CreateUpload(  # noqa: N802
        self, request: Asked[upload_service_pb2.CreateUploadRequest], context: Context
    ) -> upload_pb2.UploadSession:
        video_id, size = validation.create_upload(request.message)
        origin = self._origin(context, request.message.video_id)
        return session_message(
            await self.uploads.create_upload(request.caller, origin, video_id, size_bytes=size)
        )

    async def GetUpload(  # noqa: N802
        self, request: Asked[upload_service_pb2.GetUploadRequest], context: Context
    ) -> upload_pb2.UploadSession:
        video_id = validation.video_id(request.message)
        self._origin(context, request.message.video_id)
        return session_message(await self.uploads.get_upload(request.caller, video_id))

    async def SignParts(  # noqa: N802
        self, request: Asked[upload_service_pb2.SignPartsRequest], context: Context
    ) -> upload_service_pb2.SignPartsResponse:
        video_id, parts = validation.sign_parts(request.message)
        self._origin(context, request.message.video_id)
        signed = await self.uploads.sign_parts(
            request.caller, video_id, generation=request.message.generation, parts=parts
        )
        return signed_message([number for number, _ in parts], signed)

    async def CompleteUpload(  # noqa: N802
        self, request: Asked[upload_service_pb2.CompleteUploadRequest], context: Context
    ) -> video_pb2.Video:
        video_id, profile, loudness, options = validation.complete_upload(request.message)
        origin = self._origin(context, request.message.video_id)
        video = await self.uploads.complete_upload(
            request.caller,
            origin,
            video_id,
            generation=request.message.generation,
            profile=profile,
            options=options,
            loudness=loudness,
        )
        return video_message(video, self.cdn_base_url)

    async def AbortUpload(  # noqa: N802
        self, request: Asked[upload_service_pb2.AbortUploadRequest], context: Context
    ) -> upload_pb2.UploadSession:
        video_id = validation.video_id(request.message)
        origin = self._origin(context, request.message.video_id)
        return session_message(
            SessionStatus(await self.uploads.abort_upload(request.caller, origin, video_id))
        )

    def _origin(self, context: Context, video_id: str) -> Origin:
        """Returns where the call comes from. Adds the valid video id to the log lines of this RPC."""
        structlog.contextvars.bind_contextvars(video_id=video_id)
        return Origin(request_id=request_id_of(context), peer=self.client_of(context))


def upload_handlers(servicer: UploadServicer) -> dict[str, Handler]:
    """Returns the handler of each method, which takes an Asked request."""
    messages = upload_service_pb2
    session = upload_pb2.UploadSession.SerializeToString

    def unary(
        method: Callable[..., Any], parse: Callable[[bytes], Any], serialize: Callable[[Any], bytes]
    ) -> Handler:
        return grpc.unary_unary_rpc_method_handler(method, asked(parse), serialize)

    return {
        "CreateUpload": unary(servicer.CreateUpload, messages.CreateUploadRequest.FromString, session),
        "GetUpload": unary(servicer.GetUpload, messages.GetUploadRequest.FromString, session),
        "SignParts": unary(
            servicer.SignParts,
            messages.SignPartsRequest.FromString,
            messages.SignPartsResponse.SerializeToString,
        ),
        "CompleteUpload": unary(
            servicer.CompleteUpload,
            messages.CompleteUploadRequest.FromString,
            video_pb2.Video.SerializeToString,
        ),
        "AbortUpload": unary(servicer.AbortUpload, messages.AbortUploadRequest.FromString, session),
    }
