"""Converts upload sessions to protobuf messages."""

from collections.abc import Sequence

from gostream.v1 import upload_pb2, upload_service_pb2
from gostream_api.uploads.stored_parts import SessionStatus
from gostream_shared.domain.uploads import UploadState
from gostream_shared.storage.port import PresignedUpload

_STATES = {state: upload_pb2.UploadSession.State.Value(f"STATE_{state}") for state in UploadState}


def session_message(status: SessionStatus) -> upload_pb2.UploadSession:
    session = status.session
    message = upload_pb2.UploadSession(
        video_id=str(session.video_id),
        state=_STATES[session.state],
        generation=session.generation,
        size_bytes=session.size_bytes,
        part_size=session.part_size,
        part_count=session.part_count,
    )
    message.expire_time.FromDatetime(session.expires_at)
    for part in status.parts:
        message.parts.add(number=part.number, size_bytes=part.size, md5=part.md5)
    return message


def signed_message(
    numbers: Sequence[int], requests: Sequence[PresignedUpload]
) -> upload_service_pb2.SignPartsResponse:
    message = upload_service_pb2.SignPartsResponse()
    for number, request in zip(numbers, requests, strict=True):
        part = message.parts.add(number=number, url=request.url, headers=dict(request.headers))
        part.expire_time.FromDatetime(request.expires_at)
    return message
