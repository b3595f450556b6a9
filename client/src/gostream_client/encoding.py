"""What a caller asks of an encode besides its profile."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta

from gostream.v1.video_service_pb2 import ProcessOptions
from gostream_client.names import loudness_number

#: The names of downloads, in the contract's words.
DOWNLOADS = ("highest", "audio")


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """Options of an encode; times in seconds.

    `start`, `end`: the part of the source that becomes the film. `poster_offset`: the time of the film that
    the poster shows. `downloads`: "highest" (the film, MP4) and "audio" (its sound, M4A), made after READY.
    `loudness`: -16 or -23 LUFS for all sounds; 0 keeps theirs.
    """

    _: KW_ONLY
    start: float | None = None
    end: float | None = None
    poster_offset: float | None = None
    downloads: Sequence[str] = ()
    loudness: int = 0


def encode_options(profile: str, options: EncodeOptions | None) -> ProcessOptions:
    """Returns the message of a request. Raises InvalidInputError if the loudness is unknown."""
    asked = options or EncodeOptions()
    message = ProcessOptions(profile=profile, loudness=loudness_number(asked.loudness))
    message.downloads.extend(asked.downloads)
    for field in ("start", "end", "poster_offset"):
        seconds = getattr(asked, field)
        if seconds is not None:
            getattr(message, field).FromTimedelta(timedelta(seconds=seconds))
    return message
