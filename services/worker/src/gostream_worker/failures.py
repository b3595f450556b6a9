"""Why processing fails: every code with its class and the sentence that people read."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from gostream_shared.domain.errors import GoStreamError
from gostream_shared.domain.video import Failure


@enum.unique
class FailureClass(enum.Enum):
    """What trying again can do; the value is how many attempts of one encode may end like this."""

    PERMANENT = 1
    RESOURCE = 2
    INTERNAL = 3


class Code(enum.StrEnum):
    """The codes of Video.error; part of the API."""

    SOURCE_EMPTY = "SOURCE_EMPTY"
    SOURCE_GONE = "SOURCE_GONE"
    SOURCE_NOT_MEDIA = "SOURCE_NOT_MEDIA"
    SOURCE_REPLACED = "SOURCE_REPLACED"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED_CONTAINER = "UNSUPPORTED_CONTAINER"
    UNSUPPORTED_CODEC = "UNSUPPORTED_CODEC"
    NO_VIDEO_STREAM = "NO_VIDEO_STREAM"
    ENCRYPTED_SOURCE = "ENCRYPTED_SOURCE"
    TRUNCATED = "TRUNCATED"
    CORRUPT_STREAM = "CORRUPT_STREAM"
    DIMENSIONS = "DIMENSIONS"
    DURATION = "DURATION"
    FRAME_RATE = "FRAME_RATE"
    UNKNOWN_PROFILE = "UNKNOWN_PROFILE"
    RESOURCE_LIMIT = "RESOURCE_LIMIT"
    BACKEND_UNAVAILABLE = "BACKEND_UNAVAILABLE"
    INTERNAL = "INTERNAL"


_SENTENCES: Mapping[Code, str] = MappingProxyType(
    {
        Code.SOURCE_EMPTY: "The uploaded file is empty.",
        Code.SOURCE_GONE: "The uploaded file is no longer there; upload it again.",
        Code.SOURCE_REPLACED: "The file was uploaded anew while it was being processed; try again.",
        Code.SOURCE_NOT_MEDIA: "The uploaded file is not a video.",
        Code.TOO_LARGE: "The uploaded file is larger than this service accepts.",
        Code.UNSUPPORTED_CONTAINER: "This kind of file is not supported; try MP4, MOV, MKV, WebM, TS or AVI.",
        Code.UNSUPPORTED_CODEC: "The video or its sound is stored in a format that is not supported.",
        Code.NO_VIDEO_STREAM: "The uploaded file contains no moving picture.",
        Code.ENCRYPTED_SOURCE: "The uploaded file is encrypted; upload it without copy protection.",
        Code.TRUNCATED: "The uploaded file is incomplete; its end is missing.",
        Code.CORRUPT_STREAM: "Too much of the uploaded video is damaged.",
        Code.DIMENSIONS: "The picture is too small or too large.",
        Code.DURATION: "The video has no valid playing time, or one that is too long.",
        Code.FRAME_RATE: "The frame rate cannot be read, or is too high for pictures of this size.",
        Code.UNKNOWN_PROFILE: "No worker knows the encoding profile that was asked for.",
        Code.RESOURCE_LIMIT: "Encoding this video needs more memory or time than a worker has.",
        Code.BACKEND_UNAVAILABLE: "Storage was out of reach for too long; try again later.",
        Code.INTERNAL: "Something went wrong on our side; try again, and tell us if it stays so.",
    }
)
_CLASSES: Mapping[Code, FailureClass] = MappingProxyType(
    {
        Code.RESOURCE_LIMIT: FailureClass.RESOURCE,
        Code.INTERNAL: FailureClass.INTERNAL,
        # Others may know it: while a new version is being rolled out, workers of both are at work.
        Code.UNKNOWN_PROFILE: FailureClass.INTERNAL,
        Code.SOURCE_REPLACED: FailureClass.INTERNAL,  # the next attempt takes what is there then
        Code.BACKEND_UNAVAILABLE: FailureClass.INTERNAL,
    }
)


class ProcessingFailedError(GoStreamError):
    """An attempt failed for a known reason. `detail` and `log_tail` are for operators."""

    def __init__(self, code: Code, detail: str = "", *, log_tail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail
        self.log_tail = log_tail.replace("\0", "\ufffd")  # PostgreSQL keeps everything but that
        self.stage = ""

    @property
    def failure_class(self) -> FailureClass:
        return _CLASSES.get(self.code, FailureClass.PERMANENT)

    @property
    def failure(self) -> Failure:
        """What the video's row says."""
        return Failure(
            code=self.code,
            message=_SENTENCES[self.code],
            retryable=self.failure_class is not FailureClass.PERMANENT,
            stage=self.stage,
        )


class WorkerFullError(GoStreamError):
    """The work directory cannot be written: not the video's fault, and another worker may have room."""

    def __init__(self, cause: str = "the worker's disk is full") -> None:
        super().__init__(cause)
