"""One pass over a segment's bytes: what playlists and rules need to know of it, in a few hundred bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from gostream_conformance.errors import AudioError, VideoError
from gostream_conformance.formats.aac import AacConfig, adts_frames
from gostream_conformance.formats.h264 import (
    IDR,
    PPS,
    SEI,
    SLICE,
    SPS,
    Sps,
    is_recovery_point,
    nal_units,
    parse_sps,
    picture,
)
from gostream_conformance.formats.mpegts import AAC, CLOCK, H264, Jump, Pes, Stream, demux, ticks_between

_MAX_PARAMETER_SETS = 32
_MAX_KEY_FRAMES = 1000  # 20 s of nothing but key frames
_OPEN_POINTS_KEPT = 3
_FEW = 0.05
_OPENING = 96  # bytes, mostly of one packet: only key frames need more
_SLICE_HEADER = 32


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """An IDR picture, and the byte range of the transport packets that carry it."""

    pts: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class VideoMeasure:
    """The pictures of a segment. Times are 90 kHz ticks on the 33-bit clock; lengths are plain ticks."""

    pid: int
    first_pts: int  # of the picture shown first
    last_pts: int  # of the picture shown last
    first_dts: int
    last_dts: int
    frames: int
    frame_ticks: int  # the usual distance between two pictures; 0 when there is one and no timing
    longest_gap: int  # but for the holes in a steady stream
    missing: int  # pictures, by those holes
    dts_rise: bool
    key_frames: tuple[KeyFrame, ...]
    starts_with_key: bool  # with nothing before its SPS, PPS and IDR picture
    #: PTS of the first few entry points whose followers are shown before them, or that are no IDR.
    open_points: tuple[int, ...]
    parameter_sets: tuple[Sps, ...]  # the different ones, in order of appearance

    @property
    def ticks(self) -> int:
        """How long the pictures are shown."""
        return ticks_between(self.first_pts, self.last_pts) + self.frame_ticks


@dataclass(frozen=True, slots=True)
class AudioMeasure:
    """The sound of a segment."""

    pid: int
    first_pts: int
    frames: int
    size: int  # of the ADTS frames, in bytes
    stray: int  # ticks between where the samples put a timestamp and where it is, at most
    configs: tuple[AacConfig, ...]

    @property
    def ticks(self) -> int:
        return int(self.frames * self.configs[0].frame_ticks)


@dataclass(frozen=True, slots=True)
class SegmentMeasure:
    """What measure_segment found."""

    size: int
    tables_end: int  # PAT and PMT stand before this offset
    tables_first: bool  # and before any picture or sound
    streams: tuple[tuple[int, int], ...]  # (PID, stream_type), as listed
    video: VideoMeasure | None
    audio: AudioMeasure | None
    counters: dict[int, tuple[int, int]]  # PID → first and last continuity counter
    jumps: tuple[Jump, ...]  # the first few
    jump_count: int

    @property
    def duration(self) -> float:
        """Playing time in seconds, of the pictures when there are any."""
        track = self.video or self.audio
        return track.ticks / CLOCK if track else 0.0

    @property
    def first_pts(self) -> int | None:
        track = self.video or self.audio
        return track.first_pts if track else None

    @property
    def key_frames(self) -> tuple[KeyFrame, ...]:
        return self.video.key_frames if self.video else ()


def measure_segment(data: bytes, *, seam: int = 0) -> SegmentMeasure:
    """Measure one MPEG-TS segment, with what EXT-X-MAP puts before it up to the byte `seam`.

    Raises a MalformedError; linear in the size of `data`.
    """
    transport = demux(data, seam=seam)
    video, audio = transport.of_kind(H264), transport.of_kind(AAC)
    return SegmentMeasure(
        size=len(data),
        tables_end=transport.tables_end,
        tables_first=transport.tables_end <= transport.first_payload,
        streams=transport.listed,
        video=_measure_video(video) if video else None,
        audio=_measure_audio(audio) if audio else None,
        counters=transport.counters,
        jumps=transport.jumps,
        jump_count=transport.jump_count,
    )


def measure_iframes(data: bytes, segment: SegmentMeasure) -> Iterator[SegmentMeasure]:
    """Measure each key frame of a segment as players of I-frame playlists get it: after the tables."""
    tables = data[: segment.tables_end]
    for key in segment.key_frames:
        yield measure_segment(tables + data[key.offset : key.offset + key.size])


@dataclass(slots=True)
class _AccessUnit:
    """One coded picture with its parameter sets; `pts` counts from the first unit of the segment."""

    pts: int
    idr: bool
    entry: bool  # IDR, or marked as a recovery point
    sets: frozenset[int]


def _measure_video(stream: Stream) -> VideoMeasure:
    units: list[_AccessUnit] = []
    keys: list[KeyFrame] = []
    stamps: list[tuple[int, int]] = []
    known: dict[bytes, Sps] = {}
    for pes in stream.packets():
        if pes.pts < 0:
            raise VideoError("a picture without a timestamp", offset=pes.offset)
        if not stamps:
            start = pes.pts
        unit = _access_unit(pes, start, known)
        units.append(unit)
        stamps.append((pes.pts, pes.dts))
        if unit.idr:
            if len(keys) >= _MAX_KEY_FRAMES:
                raise VideoError(f"more than {_MAX_KEY_FRAMES} key frames", offset=pes.offset)
            keys.append(KeyFrame(pes.pts, pes.offset, pes.end - pes.offset))
    shown = sorted(unit.pts for unit in units)
    gaps = [later - earlier for earlier, later in pairwise(shown)]
    dts = [ticks_between(stamps[0][1], decoded) for _, decoded in stamps]
    begins_whole = stream.begin == stream.units[0].offset
    rate = next((s.frame_rate for s in known.values() if s.frame_rate), None)
    single = round(CLOCK / rate) if rate and 1 <= rate <= CLOCK else 0
    usual, longest, missing = _rhythm(gaps) if gaps else (single, single, 0)
    wrap = 1 << 33
    return VideoMeasure(
        pid=stream.pid,
        first_pts=(start + shown[0]) % wrap,
        last_pts=(start + shown[-1]) % wrap,
        first_dts=stamps[0][1],
        last_dts=stamps[-1][1],
        frames=len(units),
        frame_ticks=usual,
        longest_gap=longest,
        missing=missing,
        dts_rise=all(a < b for a, b in pairwise(dts)) and _decoded_in_time(stamps),
        key_frames=tuple(keys),
        starts_with_key=begins_whole and units[0].idr and {SPS, PPS} <= units[0].sets,
        open_points=tuple((start + pts) % wrap for pts in _open_points(units)[:_OPEN_POINTS_KEPT]),
        parameter_sets=tuple(dict.fromkeys(known.values())),
    )


def _rhythm(gaps: list[int]) -> tuple[int, int, int]:
    """The usual gap, the longest, and how many pictures are missing.

    A few gaps that are much too long are holes; when there are many the rate varies, and nothing is missing.
    """
    usual = median_low(gaps)
    holes = [gap for gap in gaps if gap > 1.5 * usual > 0]
    if not holes or len(holes) > _FEW * len(gaps):
        return usual, max(gaps), 0
    longest = max(gap for gap in gaps if gap <= 1.5 * usual)
    return usual, longest, sum(round(gap / usual) - 1 for gap in holes)


def _decoded_in_time(stamps: Iterable[tuple[int, int]]) -> bool:
    return all(ticks_between(decoded, shown) >= 0 for shown, decoded in stamps)


def _access_unit(pes: Pes, start: int, known: dict[bytes, Sps]) -> _AccessUnit:
    """Look at a PES packet up to its first slice; new parameter sets are added to `known`.

    What players must know of a picture stands before it, and all of its slices are IDR or none.
    """
    data, found = _opening(pes)
    recovery = False
    for kind, begin, end in found:
        if kind == SPS:
            _learn(data[begin:end].rstrip(b"\x00"), known)
        elif kind == SEI:
            recovery = recovery or is_recovery_point(data[begin:end])
    slice_kind, begin, _ = found[-1]
    picture(data[begin : begin + _SLICE_HEADER])  # a slice whose header cannot be read is no picture
    idr = slice_kind == IDR
    sets = frozenset(kind for kind, _, _ in found if kind in {SPS, PPS})
    return _AccessUnit(ticks_between(start, pes.pts), idr, idr or recovery, sets)


def _opening(pes: Pes) -> tuple[bytes, list[tuple[int, int, int]]]:
    """The beginning of a PES packet, and the NAL units in it, of which the last is its first slice."""
    data = pes.head(_OPENING)
    found = _up_to_slice(data)
    if not found or found[-1][1] + _SLICE_HEADER > len(data):
        data = pes.payload
        found = _up_to_slice(data)
    if not found:
        raise VideoError("a PES packet without a picture", offset=pes.offset)
    return data, found


def _up_to_slice(data: bytes) -> list[tuple[int, int, int]]:
    """None without a slice."""
    found = []
    for unit in nal_units(data):
        found.append(unit)
        if unit[0] in {SLICE, IDR}:
            return found
    return []


def _learn(sps: bytes, known: dict[bytes, Sps]) -> None:
    if sps not in known:
        if len(known) >= _MAX_PARAMETER_SETS:
            raise VideoError(f"more than {_MAX_PARAMETER_SETS} different parameter sets")
        known[sps] = parse_sps(sps)


def _open_points(units: list[_AccessUnit]) -> list[int]:
    """Entry points that are no IDR, or after which a picture decodes that is shown before them."""
    found = []
    earliest: int | None = None  # of the pictures decoded after the unit looked at, up to the next entry
    for unit in reversed(units):
        if unit.entry:
            if not unit.idr or (earliest is not None and earliest < unit.pts):
                found.append(unit.pts)
            earliest = None
        else:
            earliest = unit.pts if earliest is None else min(earliest, unit.pts)
    return found[::-1]


def _measure_audio(stream: Stream) -> AudioMeasure:
    configs: dict[AacConfig, None] = {}
    frames = size = stray = 0
    frame = 0.0
    first = -1
    rest = b""  # of a frame that goes on in the next PES packet
    for pes in stream.packets():
        if first < 0:
            first = pes.pts
        if first < 0:
            raise AudioError("sound that begins without a timestamp", offset=pes.offset)
        timed = frames + 1 if rest else frames  # the timestamp is of the first frame that begins after it
        data, used = rest + pes.payload, 0
        for config, length in adts_frames(data):
            frame = frame or config.frame_ticks
            configs[config] = None
            frames += 1
            used += length
        size += used
        rest = data[used:]
        if pes.pts >= 0:
            stray = max(stray, abs(ticks_between(first + round(timed * frame), pes.pts)))
    if rest:
        raise AudioError("an ADTS frame that is cut short")
    if not frames:
        raise AudioError("an audio stream without a frame")
    return AudioMeasure(stream.pid, first, frames, size, stray, tuple(configs))
