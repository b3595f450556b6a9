"""How long a film is: its picture and sound, from where the container begins. Runs in the probing child."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet as AnyPacket
from av.video.stream import VideoStream

Packet: TypeAlias = "AnyPacket[Any]"
Track: TypeAlias = VideoStream | AudioStream
#: Seconds that the packets may take to be read. Beyond, the header is believed.
_LONGEST_LOOK = 10.0
#: Seconds between packets that ffmpeg takes for a jump of the clock, and closes, where clocks may jump.
_BACKWARDS, _FORWARDS = Fraction(-1, 10), Fraction(10)
#: Containers that say when they end, not how long they are.
_ABSOLUTE = ("matroska", "asf")
#: A header is kept to when packets come this near to what it says.
_KEPT = 0.95
#: Seconds by which a picture that is said to end before its film is looked at.
_SHORT = 0.5
#: What Matroska's muxers write of a track: 00:00:09.960000000.
_TAGGED = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True)
class Length:
    """Seconds from where the container begins: until the film ends (0 = nothing says it), and its picture."""

    film: float = 0.0
    picture: float | None = None  # None = nothing says it


def said_length(container: InputContainer, tracks: Sequence[Track], *, is_fragmented: bool) -> Length:
    """By the header; of these tracks, the picture first."""
    said = (container.duration or 0) / av.time_base
    if container.format.name.startswith(_ABSOLUTE):
        said -= max(0.0, min(_start(container), said))
    if container.format.name.startswith("mov") and not is_fragmented:
        ends = [_end_by_the_index(container, track) for track in tracks]
        known = [end for end in ends if end is not None]
        if _has_others(container, tracks) and len(known) == len(tracks):
            said = min(said, max(known))
        return Length(said, ends[0])
    is_matroska = container.format.name.startswith("matroska")
    return Length(said, _end_by_its_tag(container, tracks[0]) if is_matroska else None)


def read_length(container: InputContainer, tracks: Sequence[Track], said: Length) -> Length:
    """Of a film whose packets are at hand: read only where the header may speak of something else.

    One whose packets end before its header says does not become shorter: its end is missing.
    """
    if Flags.ts_discont in Flags(container.format.flags):
        return Length(_length_without_jumps(container, tracks) or said.film)
    is_header_of_others = _has_others(container, tracks) and not container.format.name.startswith("mov")
    is_short = said.picture is not None and said.film - said.picture > _SHORT
    is_doubtful = said.film <= 0 or is_header_of_others or is_short
    return last_packet(container, tracks, said) if is_doubtful else said


def last_packet(container: InputContainer, tracks: Sequence[Track], said: Length = Length()) -> Length:
    """Until the last packets of these tracks end; what was said if no packets last so long."""
    ends: dict[int, Fraction] = {}
    for packet in _packets(container):
        if packet.pts is not None and packet.time_base is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
    seconds = {track: float(end) - _start(container) for track, end in ends.items()}
    if max(seconds.values(), default=0.0) < said.film * _KEPT:
        return said
    film = max((seconds[track.index] for track in tracks if track.index in seconds), default=said.film)
    return Length(film, seconds.get(tracks[0].index))


def _length_without_jumps(container: InputContainer, tracks: Sequence[Track]) -> float:
    """Where clocks jump: of parts of a broadcast joined end to end, of days counted anew."""
    clocks = {track.index: _Clock(Fraction(_start(container))) for track in tracks}
    for packet in _packets(container, *tracks):
        clocks[packet.stream_index].take(packet)
    return float(max(clock.seconds for clock in clocks.values()))


class _Clock:
    """Adds up the steps from packet to packet of one track, without its jumps."""

    def __init__(self, start: Fraction) -> None:
        self._now = start
        self._gone = Fraction(0)
        self._lasts = Fraction(0)  # what was taken last

    @property
    def seconds(self) -> Fraction:
        return self._gone + self._lasts

    def take(self, packet: Packet) -> None:
        if packet.dts is None or packet.time_base is None:
            return
        now = packet.dts * packet.time_base
        step = now - self._now
        self._gone += step if _BACKWARDS <= step <= _FORWARDS else self._lasts
        self._now, self._lasts = now, (packet.duration or 0) * packet.time_base


def _packets(container: InputContainer, *tracks: Track) -> Iterator[Packet]:
    """Of these tracks, or of all, as far as they are whole and there is time."""
    deadline = monotonic() + _LONGEST_LOOK
    try:
        container.seek(min(0, container.start_time or 0) - av.time_base)
        for number, packet in enumerate(container.demux(*tracks)):
            if number % 1000 == 0 and monotonic() > deadline:
                return
            if packet.size:
                yield packet
    except MemoryError:
        raise
    except av.FFmpegError:
        return


def _end_by_the_index(container: InputContainer, track: Track) -> float | None:
    if not track.duration or not track.time_base:
        return None
    return float(((track.start_time or 0) + track.duration) * track.time_base) - _start(container)


def _end_by_its_tag(container: InputContainer, track: Track) -> float | None:
    tag = _TAGGED.fullmatch(track.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = map(float, tag.groups())
    return hours * 3600 + minutes * 60 + seconds - max(0.0, _start(container))


def _has_others(container: InputContainer, tracks: Sequence[Track]) -> bool:
    return len(container.streams) > len(tracks)


def _start(container: InputContainer) -> float:
    """Second at which the first of all tracks begins; the encoder takes it for zero."""
    return (container.start_time or 0) / av.time_base
