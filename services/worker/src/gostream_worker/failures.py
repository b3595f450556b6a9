"""The reasons for failed processing: each code with its class and its message for users."""

import enum
import errno
from collections.abc import Mapping
from types import MappingProxyType

from gostream_shared.domain.errors import GoStreamError
from gostream_shared.domain.video import Failure


@enum.unique
class FailureClass(enum.Enum):
    """Whether a retry can help. The value is the number of attempts that may end with this class."""

    PERMANENT = 1
    RESOURCE = 2
    INTERNAL = 3


class Code(enum.StrEnum):
    """The codes of Video.error, which are part of the API."""

    SOURCE_EMPTY = "SOURCE_EMPTY"
    SOURCE_GONE = "SOURCE_GONE"
    SOURCE_NOT_MEDIA = "SOURCE_NOT_MEDIA"
    SOURCE_REPLACED = "SOURCE_REPLACED"
    SOURCE_UNREACHABLE = "SOURCE_UNREACHABLE"
    SOURCE_URL_REFUSED = "SOURCE_URL_REFUSED"
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
    CLIP = "CLIP"
    UNKNOWN_PROFILE = "UNKNOWN_PROFILE"
    RESOURCE_LIMIT = "RESOURCE_LIMIT"
    BACKEND_UNAVAILABLE = "BACKEND_UNAVAILABLE"
    INTERNAL = "INTERNAL"


_SENTENCES: Mapping[Code, str] = MappingProxyType(
    {
        Code.SOURCE_EMPTY: "The uploaded file is empty.",
        Code.SOURCE_GONE: "The uploaded file no longer exists; upload it again.",
        Code.SOURCE_REPLACED: "The file was replaced while it was being processed; try again.",
        Code.SOURCE_UNREACHABLE: "The source could not be fetched from its URL.",
        Code.SOURCE_URL_REFUSED: "The URL of the source redirects to a URL that this service does not use.",
        Code.SOURCE_NOT_MEDIA: "The uploaded file contains neither video nor sound.",
        Code.TOO_LARGE: "The uploaded file is larger than this service accepts.",
        Code.UNSUPPORTED_CONTAINER: "This kind of file is not supported; try MP4, MKV, WebM, MP3 or FLAC.",
        Code.UNSUPPORTED_CODEC: "The video or its sound is stored in a format that is not supported.",
        Code.NO_VIDEO_STREAM: "The uploaded file contains no moving picture and no sound.",
        Code.ENCRYPTED_SOURCE: "The uploaded file is encrypted; upload it without copy protection.",
        Code.TRUNCATED: "The uploaded file is incomplete; its end is missing.",
        Code.CORRUPT_STREAM: "Too much of the uploaded video is damaged.",
        Code.DIMENSIONS: "The picture is too small or too large.",
        Code.DURATION: "The video has no valid playing time, or one that is too long.",
        Code.FRAME_RATE: "The frame rate cannot be read, or is too high for pictures of this size.",
        Code.CLIP: "The requested part or poster is not in the video.",
        Code.UNKNOWN_PROFILE: "The requested encoding profile is unknown.",
        Code.RESOURCE_LIMIT: "Encoding this video needs more memory or time than a worker has.",
        Code.BACKEND_UNAVAILABLE: "Storage was unavailable for too long; try again later.",
        Code.INTERNAL: "Internal error. Try again; if it persists, contact support.",
    }
)
_CLASSES: Mapping[Code, FailureClass] = MappingProxyType(
    {
        Code.RESOURCE_LIMIT: FailureClass.RESOURCE,
        Code.INTERNAL: FailureClass.INTERNAL,
        # During a rollout old and new workers run together, and another one may know the profile.
        Code.UNKNOWN_PROFILE: FailureClass.INTERNAL,
        Code.SOURCE_REPLACED: FailureClass.INTERNAL,  # the next attempt uses the new object
        Code.BACKEND_UNAVAILABLE: FailureClass.INTERNAL,
    }
)


class ProcessingFailedError(GoStreamError):
    """An attempt failed for a known reason. `detail` and `log_tail` are for operators.

    `sentence` replaces the message of the code for users. It must not contain addresses or a part of a URL.
    `helps_later`: a user may succeed with the same request later, although the worker does not repeat it.
    """

    def __init__(
        self,
        code: Code,
        detail: str = "",
        *,
        log_tail: str = "",
        sentence: str = "",
        helps_later: bool = False,
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail
        self.log_tail = log_tail.replace("\0", "\ufffd")  # PostgreSQL text cannot contain NUL
        self.stage = ""
        self._sentence = sentence or _SENTENCES[code]
        self._helps_later = helps_later

    @property
    def failure_class(self) -> FailureClass:
        return _CLASSES.get(self.code, FailureClass.PERMANENT)

    @property
    def failure(self) -> Failure:
        """The failure as stored in the video's row."""
        return Failure(
            code=self.code,
            message=self._sentence,
            retryable=self._helps_later or self.failure_class is not FailureClass.PERMANENT,
            stage=self.stage,
        )


class WorkerFullError(GoStreamError):
    """The work directory cannot be written. The video is fine, and another worker may have space."""

    def __init__(self, cause: str = "the worker's disk is full") -> None:
        super().__init__(cause)


def unforeseen(error: Exception, stage: str) -> GoStreamError:
    """Maps unexpected errors: a full disk is transient, any other error is INTERNAL."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkerFullError()
    failed = ProcessingFailedError(Code.INTERNAL, f"{type(error).__name__}: {error}")
    failed.stage = stage
    return failed
