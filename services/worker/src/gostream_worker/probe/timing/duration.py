"""The duration of a film: picture and sound, from the container's start. Runs in the probing child."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from time import monotonic
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet as AnyPacket
from av.video.stream import VideoStream

from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.probe.timing.timeline import USUAL_LIMIT, Timeline, pause_limit

Packet: TypeAlias = "AnyPacket[Any]"
Track: TypeAlias = VideoStream | AudioStream
#: Limit in seconds for reading the packets. Beyond it the header's value is used.
_LONGEST_LOOK = 10.0
#: Seconds by which timestamps may go back without losing a part of the film.
_SET_BACK = 1
#: A limit above every pause, for containers without clock jumps.
_NEVER = 1 << 40
#: Containers whose header has the end time instead of the duration.
_ABSOLUTE = ("matroska", "asf")
#: The header is accepted if packets reach this part of its duration.
_KEPT = 0.95
#: Packets are read if the picture's header ends more than this many seconds before the film's.
_SHORT = 0.5
#: The DURATION tag of a track that Matroska muxers write: 00:00:09.960000000.
_TAGGED = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True)
class Length:
    """Seconds from the container's start to the ends of the film, its picture and its sound.

    A film of 0 or a track of None: unknown.
    """

    film: float = 0.0
    picture: float | None = None
    sound: float | None = None
    longest_pause: float = 0.0  # of one track while the other continues, where clocks may jump
    key_gap: float | None = None  # longest until a key frame is shown, of a clock that may jump and does not


def said_length(container: InputContainer, tracks: Sequence[Track], *, is_fragmented: bool) -> Length:
    """Returns the length by the header. `tracks` begins with the picture."""
    said = (container.duration or 0) / av.time_base
    if container.format.name.startswith(_ABSOLUTE) or is_fragmented:
        said -= max(0.0, min(_start(container), said))
    if container.format.name.startswith("mov") and not is_fragmented:
        ends = [_end_by_the_index(container, track) for track in tracks]
        known = [end for end in ends if end is not None]
        if _has_others(container, tracks) and len(known) == len(tracks):
            said = min(said, max(known))
        return _length(said, ends)
    if container.format.name.startswith("matroska"):
        return _length(said, [_end_by_its_tag(container, track) for track in tracks])
    return Length(said)


def _length(film: float, ends: Sequence[float | None]) -> Length:
    """`ends` begins with the picture's."""
    picture, sound = (*ends, None)[:2]
    return Length(film, picture, sound)


def read_length(
    container: InputContainer, tracks: Sequence[Track], said: Length, *, patience: float = 0.0
) -> Length:
    """Returns the length. Reads packets unless an MP4 or MOV index has everything.

    Applies to a local film, or a broadcast that arrives within `patience` seconds. A film whose packets end
    before its header's duration is truncated and keeps that duration. Raises ProcessingFailedError TRUNCATED
    if the clock goes back where no player expects it.
    """
    if Flags.ts_discont in Flags(container.format.flags):
        return _joined_length(container, tracks, _LONGEST_LOOK + patience) or said
    is_index = container.format.name.startswith("mov") and said.picture is not None
    is_short = said.picture is not None and said.film - said.picture > _SHORT
    if is_index and said.film > 0 and not is_short:
        return said
    return last_packet(container, tracks, said)


def last_packet(container: InputContainer, tracks: Sequence[Track], said: Length = Length()) -> Length:
    """Returns the length by the last packets of these tracks; `said` if all packets end earlier."""
    timeline = Timeline(Fraction(0), limit=_NEVER)
    ends: dict[int, Fraction] = {}
    deadline = monotonic() + _LONGEST_LOOK
    for packet in _packets(container):
        if monotonic() > deadline:
            return said
        lasts = (packet.duration or 0) * packet.time_base
        if packet.pts is not None:
            end = packet.pts * packet.time_base + lasts
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        if packet.dts is not None and any(packet.stream_index == track.index for track in tracks):
            timeline.take(packet.stream_index, packet.dts * packet.time_base, lasts)
    if timeline.set_back > _SET_BACK:
        raise ProcessingFailedError(
            Code.TRUNCATED, f"the clock goes back by {float(timeline.set_back):.1f} s"
        )
    seconds = {track: float(end) - _start(container) for track, end in ends.items()}
    if max(seconds.values(), default=0.0) < said.film * _KEPT:
        return said
    found = [seconds.get(track.index) for track in tracks]
    film = max((end for end in found if end is not None), default=said.film)
    return _length(film, found)


def begins(container: InputContainer, track: Track) -> float | None:
    """Returns seconds from the container's start to the track's; None if its header does not have it."""
    if track.start_time is None or track.time_base is None:
        return None
    return float(track.start_time * track.time_base) - _start(container)


def _joined_length(container: InputContainer, tracks: Sequence[Track], longest: float) -> Length | None:
    """Returns the length in containers whose clock jumps, for example at joined broadcast parts.

    A pause of one track is not a jump. Clock jumps shorter than the longest pause are not detected, because
    the encoder has one limit for both.
    """
    keys = _Keys(tracks[0])
    timeline = _joined(container, tracks, USUAL_LIMIT, longest, keys)
    if timeline and timeline.longest_pause:
        timeline = _joined(container, tracks, pause_limit(float(timeline.longest_pause)), longest)
    if timeline is None:
        return None
    ends = [timeline.end(track.index) for track in tracks]
    film = max((end for end in ends if end is not None), default=0.0)
    pause = float(timeline.longest_pause)
    gap = None if timeline.has_jumps else keys.longest_gap
    return replace(_length(film, ends), longest_pause=pause, key_gap=gap) if film > 0 else None


def _joined(
    container: InputContainer,
    tracks: Sequence[Track],
    limit: int,
    longest: float,
    keys: "_Keys | None" = None,
) -> Timeline | None:
    """Returns None if the packets take too long to read."""
    timeline = Timeline(Fraction(_start(container)), limit=limit)
    deadline = monotonic() + longest
    places = _Places()
    wanted = {track.index for track in tracks}
    for packet in _packets(container):
        if monotonic() > deadline:
            return None
        places.note(packet)
        if keys:
            keys.note(packet)
        is_ours = packet.stream_index in wanted
        if is_ours and packet.dts is not None and packet.time_base is not None:
            lasts = (packet.duration or 0) * packet.time_base
            timeline.take(packet.stream_index, packet.dts * packet.time_base, lasts)
    places.require_whole(tracks, timeline)
    return timeline


class _Keys:
    """The key frames of the picture."""

    def __init__(self, picture: Track) -> None:
        self._index = picture.index
        self._last: Fraction | None = None
        self._longest = Fraction(0)
        self._longest_lag = Fraction(0)

    def note(self, packet: Packet) -> None:
        if packet.stream_index != self._index or packet.dts is None or packet.time_base is None:
            return
        now = packet.dts * packet.time_base
        if self._last is not None:
            self._longest = max(self._longest, now - self._last)
        if packet.pts is not None:
            self._longest_lag = max(self._longest_lag, (packet.pts - packet.dts) * packet.time_base)
        if self._last is None or packet.is_keyframe:
            self._last = now

    @property
    def longest_gap(self) -> float:
        """Seconds from any packet until a key frame is shown, or until the picture ends."""
        return float(self._longest + self._longest_lag)


class _Places:
    """File positions at which each track begins and ends: a programme may continue in other tracks."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._types: dict[int, str] = {}

    def note(self, packet: Packet) -> None:
        if packet.pos is not None:
            self._first.setdefault(packet.stream_index, packet.pos)
            self._last[packet.stream_index] = max(packet.pos, self._last.get(packet.stream_index, 0))
            self._types[packet.stream_index] = packet.stream.type

    def require_whole(self, tracks: Sequence[Track], timeline: Timeline) -> None:
        """Raises ProcessingFailedError TRUNCATED if a track ends where another of its type begins.

        Sound that lasts as long as the picture is complete.
        """
        film = max((timeline.end(track.index) or 0.0 for track in tracks), default=0.0)
        for track in tracks:
            ends = self._last.get(track.index)
            follows = [at for key, at in self._first.items() if self._types[key] == track.type]
            is_short = track is tracks[0] or film - (timeline.end(track.index) or 0.0) > _SHORT
            if ends is not None and is_short and any(at > ends for at in follows):
                raise ProcessingFailedError(
                    Code.TRUNCATED, f"the programme continues in another {track.type} track"
                )


def _packets(container: InputContainer, *tracks: Track) -> Iterator[Packet]:
    """Yields packets of these tracks, or of all, from the start up to the first damaged one."""
    start = container.start_time or 0
    try:
        try:
            container.seek(min(0, start) - av.time_base)
        except av.FFmpegError:  # FLV without an index has no time before its first packet
            container.seek(start)
        for packet in container.demux(*tracks):
            if packet.size:
                yield packet
    except MemoryError:
        raise
    except av.FFmpegError:
        return


def said_end(container: InputContainer, track: Track) -> float | None:
    """Returns seconds from the container's start to the track's end by the header; None if it has none."""
    if container.format.name.startswith("mov"):
        return _end_by_the_index(container, track)
    return _end_by_its_tag(container, track) if container.format.name.startswith("matroska") else None


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
    """Returns the second at which the first of all tracks begins. The encoder uses it as zero."""
    return (container.start_time or 0) / av.time_base
