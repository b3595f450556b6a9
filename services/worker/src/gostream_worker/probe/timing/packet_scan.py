"""Scans packets without decoding: the frame rate, and whether tracks can be copied."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from time import monotonic
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet as AnyPacket
from av.video.stream import VideoStream

from gostream_conformance.errors import VideoError
from gostream_conformance.formats.h264 import IDR, SPS, parse_sps
from gostream_worker.media_units import AAC_FRAME, CLOCK
from gostream_worker.probe.model import AudioScan, PictureGroup, VideoScan

Packet: TypeAlias = "AnyPacket[Any]"
#: Returns the first bytes at that position of the file.
Look = Callable[[int], bytes]
#: Limits of the scan: seconds and groups. Beyond them no track is copied.
LONGEST_SCAN = 10.0
_MAX_GROUPS = 25_000
_MAX_PACKETS = 4_000_000
#: Sounds that are scanned: with all sounds of a long film, the scan would not end in time for its picture.
_MAX_SOUNDS = 3
#: Containers that keep one parameter set for all pictures.
_CONTAINERS = ("mov", "matroska", "flv")
#: Packets that determine a rate from times in milliseconds: the error is far below the distance between two
#: standard rates.
_RATE_PACKETS = 200
_FEWEST_PACKETS = 50
_RATE_BYTES = 16 << 20
#: Key frames that are checked if each check fetches a block of the source.
_LOOKS = 6
#: Largest rounding error of a container's timestamps.
_ROUNDING = 180


def scan_tracks(
    container: InputContainer, video: VideoStream, audios: Sequence[AudioStream], *, look: Look | None = None
) -> tuple[VideoScan | None, Mapping[int, AudioScan]]:
    """Returns the facts about copying each track, of sounds by index.

    There are none of a track that cannot be copied, of sounds after the third, or if the scan takes too long.
    With `look` the packets have no content, and some key frames are read through it.
    """
    if container.format.name.split(",")[0] not in _CONTAINERS:
        return None, {}
    pictures = _Pictures.of(video, container, has_content=look is None)
    sounds = [sound for audio in audios[:_MAX_SOUNDS] if (sound := _Sound.of(audio, container))]
    scanned: list[_Pictures | _Sound] = [*([pictures] if pictures else []), *sounds]
    if not scanned:
        return None, {}
    try:
        container.seek(0)
        if not _read(container.demux([track.stream for track in scanned]), scanned):
            return None, {}
    except av.FFmpegError:
        return None, {}
    if pictures and look:
        pictures.look_at_some(look)
    heard = {sound.stream.index: scan for sound in sounds if (scan := sound.found())}
    return pictures.found() if pictures else None, heard


def is_progressive(video: VideoStream) -> bool:
    """Returns whether the only parameter set, stored in front of all pictures, excludes fields."""
    unit = _parameter_set(_header(video))
    try:
        return bool(unit) and parse_sps(unit).progressive
    except VideoError:
        return False


def _header(video: VideoStream) -> bytes:
    context = video.codec_context
    return context.extradata or b"" if context is not None and context.name == "h264" else b""


def base_rate(container: InputContainer, video: VideoStream) -> Fraction:
    """Returns the timestamp grid of the picture; 0 if unknown.

    Matroska has only the average frame duration, affected by cuts and gaps: the first packets are used
    instead.
    """
    said = video.base_rate or Fraction(0)
    if container.format.name.startswith("matroska") and said == video.average_rate:
        return _usual_rate(container, video) or said
    return said


def _usual_rate(container: InputContainer, video: VideoStream) -> Fraction | None:
    """Returns the rate from the mean of typical gaps, since times are rounded to milliseconds."""
    try:
        container.seek(0)
        packets = _some(container.demux(video))
        times = sorted(p.pts * p.time_base for p in packets if p.pts is not None and p.time_base is not None)
    except av.FFmpegError:
        return None
    gaps = sorted(after - before for before, after in pairwise(times))
    median = gaps[len(gaps) // 2] if gaps else Fraction(0)
    usual = [gap for gap in gaps if abs(gap - median) <= median / 4]
    return len(usual) / sum(usual, Fraction(0)) if median else None


def _some(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Yields enough packets for a rate; fewer if they are large and costly to fetch."""
    size = 0
    for number, packet in enumerate(islice(packets, _RATE_PACKETS)):
        if size > _RATE_BYTES and number >= _FEWEST_PACKETS:
            return
        size += packet.size
        yield packet


def _read(packets: Iterable[Packet], tracks: "Sequence[_Pictures | _Sound]") -> bool:
    """Reads the packets. Returns whether the end was reached in time."""
    deadline = monotonic() + LONGEST_SCAN
    takers = {track.stream.index: track for track in tracks}
    for number, packet in enumerate(packets):
        if number >= _MAX_PACKETS or (number % 1000 == 0 and monotonic() > deadline):
            return False
        if packet.size:
            takers[packet.stream_index].take(packet)
    return True


class _Track:
    """The times of one track's packets. `is_whole` unless a packet has no time or is damaged."""

    def __init__(self, start: int, time_base: Fraction | None) -> None:
        self.times: list[int] = []
        self.size = 0
        self.is_whole = True
        self._start = start
        # Integers: with half a million packets, fractions would take most of the time.
        self._ticks, self._per = (time_base * CLOCK).as_integer_ratio() if time_base else (0, 1)

    def note(self, packet: Packet) -> int:
        """Returns the packet's time in ticks from the container's start."""
        if packet.pts is None or not self._ticks or packet.is_corrupt:
            self.is_whole = False
            return 0
        time = (2 * packet.pts * self._ticks + self._per) // (2 * self._per) - self._start
        self.times.append(time)
        self.size += packet.size
        return time


class _Pictures:
    """An H.264 track with its parameter sets in front."""

    def __init__(
        self, stream: VideoStream, start: int, unit: bytes, length_bytes: int, *, has_content: bool
    ) -> None:
        self.stream = stream
        self._track = _Track(start, stream.time_base)
        self._unit = unit
        self._sps = parse_sps(unit)
        self._length_bytes = length_bytes
        self._groups: list[list[int]] = []  # [start, size]
        self._is_closed = True
        self._has_content = has_content
        self._keys: list[int] = []  # positions of key frames without content

    @classmethod
    def of(cls, stream: VideoStream, container: InputContainer, *, has_content: bool) -> "_Pictures | None":
        header = _header(stream)
        unit = _parameter_set(header)
        if not unit:
            return None
        try:
            return cls(stream, _start(container), unit, (header[4] & 3) + 1, has_content=has_content)
        except VideoError:
            return None

    def take(self, packet: Packet) -> None:
        time = self._track.note(packet)
        if packet.is_discard:  # removed by an edit list, but a copy would show it
            self._is_closed = False
        if packet.is_keyframe:
            self._note_key(packet)
            if len(self._groups) < _MAX_GROUPS:
                self._groups.append([time, 0])
            else:
                self._is_closed = False
        if not self._groups or time < self._groups[-1][0]:
            self._is_closed = False
        else:
            self._groups[-1][1] += packet.size

    def _note_key(self, packet: Packet) -> None:
        if self._has_content:
            self._is_closed = self._is_closed and self._begins_group(bytes(packet))
        elif packet.pos is None:
            self._is_closed = False
        else:
            self._keys.append(packet.pos)

    def look_at_some(self, look: Look) -> None:
        """Reads a few distant key frames without content, and checks that they begin a group."""
        last = len(self._keys) - 1
        some = (
            {self._keys[last * number // (_LOOKS - 1)] for number in range(_LOOKS)} if self._keys else set()
        )
        self._is_closed = self._is_closed and all(
            self._begins_group(look(position)) for position in sorted(some)
        )

    def _begins_group(self, data: bytes) -> bool:
        """Returns whether a key frame is an IDR picture that uses the leading parameter set."""
        at = 0
        while at + self._length_bytes < len(data):
            size = int.from_bytes(data[at : at + self._length_bytes], "big")
            at += self._length_bytes
            kind = data[at] & 0x1F
            if kind == SPS and data[at : at + size] != self._unit:
                return False
            if 1 <= kind <= IDR:
                return kind == IDR
            at += size
        return False

    def found(self) -> VideoScan | None:
        if not self._track.is_whole or len(self._track.times) < 2 or not self._is_closed:
            return None
        times = sorted(self._track.times)
        gaps = [after - before for before, after in pairwise(times)]
        return VideoScan(
            profile=self._sps.profile,
            level=self._sps.level,
            is_progressive=self._sps.progressive,
            sample_aspect=self._sps.sample_aspect,
            frames=len(times),
            start=times[0],
            end=times[-1] - times[0] + sorted(gaps)[len(gaps) // 2],
            shortest_gap=min(gaps),
            longest_gap=max(gaps),
            groups=tuple(PictureGroup(time - times[0], size) for time, size in self._groups),
        )


class _Sound:
    """An AAC track."""

    def __init__(self, stream: AudioStream, start: int) -> None:
        self.stream = stream
        self._track = _Track(start, stream.time_base)

    @classmethod
    def of(cls, stream: AudioStream, container: InputContainer) -> "_Sound | None":
        if stream.codec_context is None or stream.codec_context.name != "aac":
            return None
        return cls(stream, _start(container))

    def take(self, packet: Packet) -> None:
        self._track.note(packet)

    def found(self) -> AudioScan | None:
        times, rate = self._track.times, self.stream.codec_context.sample_rate
        if not self._track.is_whole or not times or not rate:
            return None
        frame = CLOCK * AAC_FRAME / rate
        steps = all(abs(after - before - frame) <= _ROUNDING for before, after in pairwise(times))
        whole = abs(times[-1] - times[0] - (len(times) - 1) * frame) <= _ROUNDING
        return AudioScan(
            is_low_complexity=self.stream.codec_context.profile == "LC",
            is_gapless=steps and whole,
            frames=len(times),
            size=self._track.size,
            start=times[0],
        )


def _start(container: InputContainer) -> int:
    """Returns the ticks at which the first of all tracks begins. The encoder uses them as zero."""
    return round((container.start_time or 0) * CLOCK / av.time_base)


def _parameter_set(header: bytes) -> bytes:
    """Returns the only SPS of an AVCDecoderConfigurationRecord; b"" if there are several or none."""
    if len(header) < 8 or header[0] != 1 or header[5] & 0x1F != 1:
        return b""
    unit = header[8 : 8 + int.from_bytes(header[6:8], "big")]
    return unit if unit and unit[0] & 0x1F == SPS else b""
