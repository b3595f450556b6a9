"""How foreign bytes can be wrong: every parser here raises one of these and nothing else."""


class ConformanceError(Exception):
    """The base of every error raised here."""


class MalformedError(ConformanceError):
    """The bytes are not what they should be; `offset` says where, in bytes from the start."""

    def __init__(self, message: str, *, offset: int = 0) -> None:
        super().__init__(f"{message} (at byte {offset})")
        self.offset = offset


class PacketSizeError(MalformedError):
    """Not a whole number of transport stream packets."""


class TransportError(MalformedError):
    """Not a transport stream, or one with damaged packets, tables or timestamps."""


class VideoError(MalformedError):
    """Not an H.264 stream that can be read."""


class AudioError(MalformedError):
    """Not an AAC stream that can be read."""


class PictureError(MalformedError):
    """Not a JPEG whose size can be read."""


class PlaylistError(ConformanceError):
    """Not a playlist RFC 8216 allows; `line` counts from 1."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class CuesError(ConformanceError):
    """Not WebVTT whose cues name pictures; `line` counts from 1."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class UnreadableError(ConformanceError):
    """A resource cannot be had: missing, refused, or larger than the limit."""
