"""Decodes the first pictures of a film. Runs in the probing child."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.packet import Packet as AnyPacket
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gostream_worker.failures import Code, ProcessingFailedError

Packet: TypeAlias = "AnyPacket[Any]"
_FRAMES = 12
_PACKETS = 500
#: Maximum bytes of kept pictures: twelve in 4K at 10 bits, fewer if larger.
_KEPT_BYTES = 384 << 20
#: Limits of the search for the first picture: seconds, and bytes of a streamed source.
_LONGEST_LOOK = 10.0
_FARTHEST_LOOK = 48 << 20


@dataclass(frozen=True)
class Sample:
    """Pictures in their order. `leading`: undecodable packets before the first picture."""

    frames: list[VideoFrame]
    leading: int

    @property
    def size(self) -> tuple[int, int]:
        return self.frames[0].width, self.frames[0].height


def decode_sample(
    packets: Iterator[Packet], video: VideoStream, audio: AudioStream | None, *, is_served: bool
) -> Sample:
    """Decodes until enough pictures are found, even if the first key frame comes late.

    Reads the first packet of `audio` too, if given. Raises ProcessingFailedError.
    """
    reading = _Reading(video, audio, is_served=is_served)
    for packet in packets:
        if packet.has_sidedata("encryption_info"):
            raise ProcessingFailedError(Code.ENCRYPTED_SOURCE)
        reading.take(packet)
        if reading.is_over(packet):
            break
    frames = reading.frames or _kept_back(video.codec_context)
    if not frames:
        raise ProcessingFailedError(Code.CORRUPT_STREAM, str(reading.failure)[:200])
    return Sample(frames, reading.leading)


class _Reading:
    """The state of the decoding."""

    def __init__(self, video: VideoStream, audio: AudioStream | None, *, is_served: bool) -> None:
        self.frames: list[VideoFrame] = []
        self.failure: Exception | None = None
        self.leading = 0
        self._video = video
        self._unseen = {track.index for track in (video, audio) if track}
        self._is_served = is_served
        self._deadline = monotonic() + _LONGEST_LOOK
        self._since = 0  # packets after the first picture
        self._kept_bytes = 0

    def take(self, packet: Packet) -> None:
        self._unseen.discard(packet.stream_index)
        if packet.stream is not self._video or self._has_enough:
            return
        try:
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    self.frames.append(frame)
                    self._kept_bytes += sum(plane.buffer_size for plane in frame.planes)
        except MemoryError:
            raise
        except av.FFmpegError as error:
            self.failure = error
            self.leading += not self.frames

    @property
    def _has_enough(self) -> bool:
        return len(self.frames) >= _FRAMES or self._kept_bytes >= _KEPT_BYTES

    def is_over(self, packet: Packet) -> bool:
        if self._has_enough and not self._unseen:
            return True
        if self.frames:
            self._since += 1
            return self._since >= _PACKETS
        is_far = self._is_served and (packet.pos or 0) > _FARTHEST_LOOK
        return is_far or monotonic() > self._deadline


def _kept_back(decoder: VideoCodecContext) -> list[VideoFrame]:
    """Flushes a decoder that received fewer pictures than it buffers."""
    try:
        return decoder.decode(None)
    except MemoryError:
        raise
    except av.FFmpegError:
        return []
