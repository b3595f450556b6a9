"""Container properties of the chosen tracks that PyAV does not expose. Runs in the probing child."""

from collections.abc import Sequence
from dataclasses import dataclass

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from gostream_worker.probe.matroska import picture_at
from gostream_worker.probe.mp4.crop import cropped, trimmed
from gostream_worker.probe.mp4.dolby_vision import DolbyVision, read_configuration
from gostream_worker.probe.mp4.sample_entries import picture_boxes, sound_boxes
from gostream_worker.probe.source_file import SourceFile

_DOLBY = (b"dvcC", b"dvvC", b"dvwC")


@dataclass(frozen=True)
class PictureFacts:
    """The size of a decoded picture after cropping, and its Dolby Vision configuration."""

    size: tuple[int, int]
    dolby_vision: DolbyVision | None = None


def picture_facts(
    container: InputContainer, video: VideoStream, source: SourceFile, whole: tuple[int, int]
) -> PictureFacts:
    """Returns the facts for a picture of the size `whole`."""
    if source.boxes:
        index = source.index()
        boxes = picture_boxes(index, video.id)
        dolby = next((boxes[name] for name in _DOLBY if name in boxes), b"")
        return PictureFacts(cropped(index, video.id, whole), read_configuration(dolby))
    if container.format.name.startswith("matroska"):
        found = picture_at(source.head(), _position(container.streams.video, video))
        return PictureFacts(trimmed(found.borders, whole), read_configuration(found.dolby_vision))
    return PictureFacts(whole)


def _position(tracks: Sequence[VideoStream], wanted: VideoStream) -> int:
    return next(number for number, track in enumerate(tracks) if track.index == wanted.index)


def spatial_box(audio: AudioStream, source: SourceFile) -> bytes:
    """Returns SA3D of an MP4 or MOV file (Google's Spatial Audio RFC), or b"" without one."""
    return sound_boxes(source.index(), audio.id).get(b"SA3D", b"") if source.boxes else b""
