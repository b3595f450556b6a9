"""The last look before anybody may play it: the rules of `gostream verify`, over what was written."""

from collections.abc import Iterator

from gostream_shared.conformance.check import check_written
from gostream_shared.conformance.playlist import ByteRange
from gostream_shared.conformance.report import Report
from gostream_shared.conformance.rules.rule import Severity
from gostream_shared.conformance.segment import SegmentMeasure
from gostream_shared.domain.video import MASTER
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.measuring import MeasuredSegments
from gostream_worker.renditions import Presentation
from gostream_worker.stills import Stills


async def require_conformance(
    presentation: Presentation, measured: MeasuredSegments, stills: Stills, *, number: int
) -> None:
    """Raises ProcessingFailedError INTERNAL, naming the rules, unless every must is kept."""
    prefix = f"v{number}/"
    contents = {prefix + name: text.encode() for name, text in presentation.playlists.items()}
    contents |= {prefix + name: data for name, data in stills.storyboard.items()}
    contents[MASTER] = presentation.master.encode()
    report = await check_written(contents, dict(_parts(prefix, measured)), master=MASTER)
    if not report.passed:
        complaints = list(_complaints(report))
        raise ProcessingFailedError(Code.INTERNAL, "; ".join(complaints), log_tail="\n".join(complaints))


def _parts(
    prefix: str, measured: MeasuredSegments
) -> Iterator[tuple[tuple[str, ByteRange | None], SegmentMeasure]]:
    for rendition, segments in measured.items():
        for name, segment in segments.items():
            path = f"{prefix}{rendition}/{name}"
            yield (path, None), segment.whole
            for key, still in zip(segment.whole.key_frames, segment.stills, strict=True):
                yield (path, ByteRange(key.offset, key.size)), still


def _complaints(report: Report) -> Iterator[str]:
    for outcome in report.broken(Severity.MUST):
        first = outcome.findings[0]
        yield f"{outcome.rule.id}: {first.where}: {first.why}"
