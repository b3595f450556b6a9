"""The errors of the parsers. A parser raises no other exception."""


class ConformanceError(Exception):
    """Base class of all errors of this package."""


class MalformedError(ConformanceError):
    """The bytes are malformed at `offset`, counted from the start."""

    def __init__(self, message: str, *, offset: int = 0) -> None:
        super().__init__(f"{message} (at byte {offset})")
        self.offset = offset


class PacketSizeError(MalformedError):
    """The size is not a multiple of the transport stream packet size."""


class TransportError(MalformedError):
    """Not a transport stream, or a stream with damaged packets, tables or timestamps."""


class FragmentError(MalformedError):
    """Not a readable initialization section or segment of fragmented MP4."""


class MissingMapError(FragmentError):
    """A segment of fragmented MP4 without the initialization section that it needs."""


class VideoError(MalformedError):
    """Not a readable H.264 stream."""


class AudioError(MalformedError):
    """Not a readable AAC stream."""


class PictureError(MalformedError):
    """Not a JPEG with a readable size."""


class PlaylistError(ConformanceError):
    """Not a playlist that RFC 8216 allows; `line` counts from 1."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class CuesError(ConformanceError):
    """Not a WebVTT file as needed here; `line` counts from 1."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class UnreadableError(ConformanceError):
    """A resource cannot be read: missing, refused, or larger than the limit."""
