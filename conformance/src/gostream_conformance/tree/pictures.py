"""Measures the pictures of a segment: the same figures for MPEG-TS and for fragmented MP4."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from gostream_conformance.errors import VideoError
from gostream_conformance.formats.h264 import IDR, PPS, SEI, SPS, Sps, is_recovery_point, parse_sps, picture
from gostream_conformance.formats.mpegts import CLOCK, ticks_between
from gostream_conformance.tree.measures import KeyFrame, VideoMeasure

SLICE_HEADER = 32  # bytes of a slice that are parsed
_MAX_PARAMETER_SETS = 32
_MAX_KEY_FRAMES = 1000  # 20 s of key frames only
_OPEN_POINTS_KEPT = 3
_FEW = 0.05
_WRAP = 1 << 33


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded picture: its bytes, its NAL units up to the first slice, its times, and where it lies."""

    data: bytes
    found: list[tuple[int, int, int]]
    pts: int
    dts: int
    offset: int
    size: int


@dataclass(slots=True)
class _AccessUnit:
    """One coded picture with its parameter sets; `pts` counts from the first unit of the segment."""

    pts: int
    idr: bool
    entry: bool  # IDR, or marked as a recovery point
    sets: frozenset[int]


class Pictures:
    """Collects the pictures of a segment in the order of decoding.

    `known` are parameter sets outside the pictures, and `sets` their types.
    """

    def __init__(self, known: Mapping[bytes, Sps] | None = None, sets: frozenset[int] = frozenset()) -> None:
        self._units: list[_AccessUnit] = []
        self._keys: list[KeyFrame] = []
        self._stamps: list[tuple[int, int]] = []
        self._known = dict(known or {})
        self._sets = sets

    def add(self, coded: Coded) -> bool:
        """Add the next picture. Returns whether it is an IDR. Raises VideoError.

        Parses up to the first slice. This is enough: the parameter sets come before the slices, and either
        all slices are IDR or none is.
        """
        recovery = False
        for kind, begin, end in coded.found:
            if kind == SPS:
                self._learn(coded.data[begin:end].rstrip(b"\x00"))
            elif kind == SEI:
                recovery = recovery or is_recovery_point(coded.data[begin:end])
        slice_kind, begin, _ = coded.found[-1]
        picture(coded.data[begin : begin + SLICE_HEADER])  # raises if the slice header cannot be read
        idr = slice_kind == IDR
        sets = self._sets.union(kind for kind, _, _ in coded.found if kind in {SPS, PPS})
        self._stamps.append((coded.pts, coded.dts))
        after = ticks_between(self._stamps[0][0], coded.pts)
        self._units.append(_AccessUnit(after, idr, idr or recovery, sets))
        if idr:
            if len(self._keys) >= _MAX_KEY_FRAMES:
                raise VideoError(f"more than {_MAX_KEY_FRAMES} key frames", offset=coded.offset)
            self._keys.append(KeyFrame(coded.pts, coded.offset, coded.size))
        return idr

    def _learn(self, sps: bytes) -> None:
        if sps not in self._known:
            if len(self._known) >= _MAX_PARAMETER_SETS:
                raise VideoError(f"more than {_MAX_PARAMETER_SETS} different parameter sets")
            self._known[sps] = parse_sps(sps)

    def measure(self, pid: int, *, begins_whole: bool = True, early: bool = False) -> VideoMeasure:
        """Returns the figures of all pictures. With `early`, they may be shown before they are decoded."""
        start, units, stamps = self._stamps[0][0], self._units, self._stamps
        shown = sorted(unit.pts for unit in units)
        gaps = [later - earlier for earlier, later in pairwise(shown)]
        dts = [ticks_between(stamps[0][1], decoded) for _, decoded in stamps]
        rate = next((s.frame_rate for s in self._known.values() if s.frame_rate), None)
        single = round(CLOCK / rate) if rate and 1 <= rate <= CLOCK else 0
        usual, longest, missing = _rhythm(gaps) if gaps else (single, single, 0)
        return VideoMeasure(
            pid=pid,
            first_pts=(start + shown[0]) % _WRAP,
            last_pts=(start + shown[-1]) % _WRAP,
            first_dts=stamps[0][1],
            last_dts=stamps[-1][1],
            frames=len(units),
            frame_ticks=usual,
            longest_gap=longest,
            missing=missing,
            dts_rise=all(a < b for a, b in pairwise(dts)) and (early or _decoded_in_time(stamps)),
            key_frames=tuple(self._keys),
            starts_with_key=begins_whole and units[0].idr and {SPS, PPS} <= units[0].sets,
            open_points=tuple((start + pts) % _WRAP for pts in _open_points(units)[:_OPEN_POINTS_KEPT]),
            parameter_sets=tuple(dict.fromkeys(self._known.values())),
        )


def _rhythm(gaps: list[int]) -> tuple[int, int, int]:
    """Returns the usual gap, the longest gap, and the number of missing pictures.

    A few much longer gaps are holes. If there are many, the rate is variable and no picture is missing.
    """
    usual = median_low(gaps)
    holes = [gap for gap in gaps if gap > 1.5 * usual > 0]
    if not holes or len(holes) > _FEW * len(gaps):
        return usual, max(gaps), 0
    longest = max(gap for gap in gaps if gap <= 1.5 * usual)
    return usual, longest, sum(round(gap / usual) - 1 for gap in holes)


def _decoded_in_time(stamps: Iterable[tuple[int, int]]) -> bool:
    return all(ticks_between(decoded, shown) >= 0 for shown, decoded in stamps)


def _open_points(units: list[_AccessUnit]) -> list[int]:
    """Returns the entry points that are not IDR, or before which a later-decoded picture is shown."""
    found = []
    earliest: int | None = None  # PTS of the pictures decoded after the current unit, up to the next entry
    for unit in reversed(units):
        if unit.entry:
            if not unit.idr or (earliest is not None and earliest < unit.pts):
                found.append(unit.pts)
            earliest = None
        else:
            earliest = unit.pts if earliest is None else min(earliest, unit.pts)
    return found[::-1]
