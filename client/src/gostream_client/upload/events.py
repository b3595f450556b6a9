"""What a caller may want to know during an upload."""

from collections.abc import Callable
from dataclasses import dataclass

from gostream.v1.video_pb2 import Video


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadEvents:
    """Functions that an upload calls.

    `on_created`: with the new video, before the first byte is sent. `on_sent`: with the number of bytes so
    far; it returns to 0 when the upload is repeated. `on_retry`: with the reason of a repetition.
    """

    on_created: Callable[[Video], object] = lambda video: None
    on_sent: Callable[[int], object] = lambda sent: None
    on_retry: Callable[[str], object] = lambda why: None
