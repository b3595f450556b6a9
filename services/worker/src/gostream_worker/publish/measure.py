"""Measures the encoder's segments with the conformance checker."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

from gostream_conformance.errors import MalformedError, PacketSizeError
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_conformance.tree.segment import measure_iframes, measure_segment
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.media_units import CLOCK
from gostream_worker.plan.plan import BUFFER_SECONDS, Plan, Rung

#: Factor by which the bit rate may exceed its cap where two chunks meet, besides one full buffer.
_PEAK = 1.5


@dataclass(frozen=True, slots=True)
class Measured:
    """One segment, and each of its key frames as an I-frame playlist shows it."""

    whole: SegmentMeasure
    iframes: tuple[SegmentMeasure, ...]

    @property
    def first_pts(self) -> int:
        track = self.whole.video or self.whole.audio
        return track.first_pts if track else 0

    @property
    def codec(self) -> str:
        """The codec string (RFC 6381)."""
        if self.whole.video:
            return self.whole.video.parameter_sets[0].codec
        return self.whole.audio.configs[0].codec if self.whole.audio else ""


#: Rendition → segments by name.
MeasuredSegments = Mapping[str, Mapping[str, Measured]]


def measure(data: bytes) -> Measured:
    """Measures one segment, at about a millisecond per megabyte.

    Raises ProcessingFailedError: CORRUPT_STREAM for a segment without content, which the encoder writes if it
    could decode nothing, else INTERNAL with the broken conformance rule.
    """
    if not data:
        raise ProcessingFailedError(Code.CORRUPT_STREAM, "an empty segment")
    try:
        whole = measure_segment(data)
        iframes = tuple(measure_iframes(data, whole))
    except PacketSizeError as error:
        raise ProcessingFailedError(Code.INTERNAL, f"segments.whole-packets: {error}") from error
    except MalformedError as error:
        raise ProcessingFailedError(Code.INTERNAL, f"segments.readable: {error}") from error
    if not whole.video and not whole.audio:
        raise ProcessingFailedError(Code.CORRUPT_STREAM, "neither picture nor sound")
    return Measured(whole, iframes)


def require_bounded_peaks(plan: Plan, measured: MeasuredSegments) -> None:
    """Raises ProcessingFailedError INTERNAL if the bit rate is too high where two chunks meet.

    x264 limits the rate within a process, and begins every chunk with an empty buffer. Checked are groups of
    pictures that together last 0.5 to 1.5 times a segment, on both sides of a border.
    """
    if plan.is_whole:
        return
    for rung in plan.rungs[1 if plan.copied else 0 :]:
        first = [chunk.start_frame // plan.segment_frames for chunk in plan.chunks if chunk.has_picture]
        worst = max(_excess(plan, rung, measured[rung.name], set(first) - {0}), default=0.0)
        if worst > 0:
            why = f"{rung.name}: {worst / 8000:.0f} kB too many where two chunks meet"
            raise ProcessingFailedError(Code.INTERNAL, f"gate.peaks: {why}", log_tail=why)


def _excess(plan: Plan, rung: Rung, parts: Mapping[str, Measured], borders: set[int]) -> Iterator[float]:
    """Yields by how many bits each run of groups across a border exceeds its limit."""
    groups: list[tuple[int, int]] = []  # (PTS, bytes)
    after = []  # positions in them
    for number, part in enumerate(parts.values()):
        if number in borders:
            after.append(len(groups))
        offsets = [0, *(key.offset for key in part.whole.key_frames[1:]), part.whole.size]
        sizes = [stop - start for start, stop in pairwise(offsets)]
        groups += zip((key.pts for key in part.whole.key_frames), sizes, strict=False)
    until = [0, *accumulate(size for _, size in groups)]
    shortest, longest = (float(plan.segment_duration) * share for share in (0.5, 1.5))
    for border in after:
        for start in range(border - 1, -1, -1):
            for stop in range(border + 1, len(groups)):
                seconds = (groups[stop][0] - groups[start][0]) / CLOCK
                if seconds > longest:
                    break
                if seconds >= shortest:
                    bits = (until[stop] - until[start]) * 8
                    yield bits - rung.max_bitrate * (_PEAK * seconds + BUFFER_SECONDS)
            if groups[border][0] - groups[start][0] > longest * CLOCK:
                break
