"""Validates requests of UploadService. Each function raises one InvalidRequestError with all violations."""

from uuid import UUID

from gostream.v1 import upload_service_pb2
from gostream_api.rpc import validation
from gostream_api.rpc.fields.loudness import is_loudness, loudness_of
from gostream_api.rpc.fields.options import encode_options
from gostream_shared.domain import profiles
from gostream_shared.domain.errors import InvalidRequestError, Violation
from gostream_shared.domain.videos.loudness import LoudnessTarget
from gostream_shared.domain.videos.options import EncodeOptions

MOST_PARTS = 32
_MD5_BYTES = 16

_ForOneVideo = (
    upload_service_pb2.CreateUploadRequest
    | upload_service_pb2.GetUploadRequest
    | upload_service_pb2.SignPartsRequest
    | upload_service_pb2.CompleteUploadRequest
    | upload_service_pb2.AbortUploadRequest
)


class _Violations(list[Violation]):
    def unless(self, holds: bool, field: str, description: str) -> None:
        if not holds:
            self.append(Violation(field, description))

    def end(self) -> None:
        if self:
            raise InvalidRequestError(*self)


def video_id(request: _ForOneVideo) -> UUID:
    wrong = _Violations()
    found = _id(wrong, request)
    wrong.end()
    return found


def create_upload(request: upload_service_pb2.CreateUploadRequest) -> tuple[UUID, int]:
    """Returns the video id and the size, 0 if it is not set. The use case knows the largest size."""
    wrong = _Violations()
    found = _id(wrong, request)
    wrong.unless(request.size_bytes >= 0, "size_bytes", "must not be negative")
    wrong.end()
    return found, request.size_bytes


def sign_parts(request: upload_service_pb2.SignPartsRequest) -> tuple[UUID, list[tuple[int, bytes]]]:
    """Returns the video id, and number and MD5 of each part. The use case knows the largest number."""
    wrong = _Violations()
    found = _id(wrong, request)
    _generation(wrong, request.generation)
    wrong.unless(0 < len(request.parts) <= MOST_PARTS, "parts", f"must be 1 to {MOST_PARTS} parts")
    parts = [(part.number, part.md5) for part in request.parts[:MOST_PARTS]]
    for position, (number, md5) in enumerate(parts):
        wrong.unless(number > 0, f"parts[{position}].number", "must be at least 1")
        wrong.unless(
            len(md5) == _MD5_BYTES, f"parts[{position}].md5", f"must be the {_MD5_BYTES} bytes of the MD5"
        )
    numbers = {number for number, _ in parts}
    wrong.unless(len(numbers) == len(parts), "parts", "must not name a part twice")
    wrong.end()
    return found, parts


def complete_upload(
    request: upload_service_pb2.CompleteUploadRequest,
) -> tuple[UUID, str | None, LoudnessTarget | None, EncodeOptions]:
    """Returns the video id, and profile, loudness and options of the encode; no profile = start none."""
    wrong = _Violations()
    found = _id(wrong, request)
    _generation(wrong, request.generation)
    profile = request.process.profile or profiles.DEFAULT
    known = ", ".join(sorted(profiles.NAMES))
    wrong.unless(profile in profiles.NAMES, "process.profile", f"must be one of: {known}")
    wrong.unless(
        is_loudness(request.process.loudness), "process.loudness", "must be one of the known targets"
    )
    options = encode_options(wrong.unless, request.process, "process")
    wrong.end()
    profile_to_start = profile if request.HasField("process") else None
    return found, profile_to_start, loudness_of(request.process.loudness), options


def _generation(wrong: _Violations, generation: int) -> None:
    wrong.unless(generation > 0, "generation", "must be the generation of the session, at least 1")


def _id(wrong: _Violations, request: _ForOneVideo) -> UUID:
    """Returns the id, or a placeholder after adding a violation."""
    found = validation.canonical_id(request.video_id)
    wrong.unless(found is not None, "video_id", "must be a UUID in its canonical lower-case form")
    return found or UUID(int=0)
