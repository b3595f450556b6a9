"""How exactly a time of the picture can be found. Runs in the probing child."""

from typing import Any, TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet as AnyPacket
from av.video.stream import VideoStream

from gostream_conformance.errors import VideoError
from gostream_conformance.formats.h264 import SEI, frames_to_recovery, nal_units
from gostream_worker.probe.matroska import has_index
from gostream_worker.probe.mp4.display_times import display_lag
from gostream_worker.probe.signature import is_fragmented
from gostream_worker.probe.source_file import SourceFile

Packet: TypeAlias = "AnyPacket[Any]"
#: Limits of the search for a key frame: packets, and bytes.
_PACKETS, _BYTES = 3000, 16 << 20


def seek_gap(
    container: InputContainer, video: VideoStream, source: SourceFile, *, said: float | None
) -> float | None:
    """Returns by how many seconds the first picture shown after a seek may be later than the sought time.

    `said`: the value for a stream that is searched, if its packets were read. None if times cannot be found,
    or if the pictures after a key frame are incomplete.
    """
    name = container.format.name.split(",")[0]
    if source.size != source.stored or is_fragmented(source.boxes):
        return None
    gap = said
    if name == "mov":  # the index has decoding times
        gap = display_lag(source.index(), video.id)
    elif name == "matroska":  # the index has times of display
        gap = 0.0 if has_index(source.head()) else None
    return None if gap is None or _is_refreshed(container, video) else gap


def _is_refreshed(container: InputContainer, video: VideoStream) -> bool:
    """Returns whether the picture becomes complete only some frames after a key frame in the middle."""
    context = video.codec_context
    if context is None or context.name != "h264":
        return False
    header = context.extradata or b""
    length_bytes = (header[4] & 3) + 1 if header[:1] == b"\x01" and len(header) > 4 else 0
    try:
        packet = _key_in_the_middle(container, video)
        units = _units(bytes(packet), length_bytes) if packet else []
        return any(frames_to_recovery(unit) for unit in units if unit[0] & 0x1F == SEI)
    except MemoryError:
        raise
    except (av.FFmpegError, VideoError):
        return True


def _key_in_the_middle(container: InputContainer, video: VideoStream) -> "Packet | None":
    middle = (container.start_time or 0) + (container.duration or 0) // 2
    container.seek(middle)
    size = 0
    for number, packet in enumerate(container.demux(video)):
        size += packet.size
        if packet.is_keyframe and packet.size:
            return packet
        if number >= _PACKETS or size >= _BYTES:
            break
    return None


def _units(data: bytes, length_bytes: int) -> list[bytes]:
    """Returns the NAL units of a packet, each after its length or, without `length_bytes`, a start code."""
    if not length_bytes:
        return [data[start:end] for _, start, end in nal_units(data)]
    units, at = [], 0
    while at + length_bytes < len(data):
        start = at + length_bytes
        at = start + int.from_bytes(data[at:start], "big")
        units.append(data[start:at])
    return [unit for unit in units if unit]
