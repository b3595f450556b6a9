"""Measures the encoder's segments with the conformance checker."""

from collections.abc import Mapping
from dataclasses import dataclass

from gostream_conformance.errors import MalformedError, PacketSizeError
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_conformance.tree.segment import measure_iframes, measure_segment
from gostream_worker.failures import Code, ProcessingFailedError


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
