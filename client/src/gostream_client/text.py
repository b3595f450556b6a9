"""Words for people: statuses, and untrusted text with escapes."""

from gostream.v1 import video_pb2


def printable(text: str) -> str:
    """Returns `text` with escapes for terminal control sequences and other unprintable characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def status_name(video: video_pb2.Video) -> str:
    """Returns the status without its prefix, for example `READY`."""
    return video_pb2.Video.Status.Name(video.status).removeprefix("STATUS_")
