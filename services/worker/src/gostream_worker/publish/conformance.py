"""The final check before publication: the rules of `gostream verify` on the written stream."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from gostream_conformance.check import check_written
from gostream_conformance.playlist.model import ByteRange
from gostream_conformance.report import Report
from gostream_conformance.rules.rule import Severity
from gostream_conformance.tree.measures import SegmentMeasure
from gostream_shared.domain.object_keys import MASTER
from gostream_worker.failures import Code, ProcessingFailedError
from gostream_worker.plan.plan import Plan
from gostream_worker.publish.measure import MeasuredSegments
from gostream_worker.publish.presentation import Presentation
from gostream_worker.publish.thumbnails import Thumbnails

#: Seconds by which the difference between picture and sound may change from source to playlists.
_APART = 1.0


def require_equal_lengths(plan: Plan, presentation: Presentation, *, has_new_sound: bool = False) -> None:
    """Raises ProcessingFailedError INTERNAL if the sound lost or gained time against the picture.

    Sound may begin late and end early: the probe knows when it ends. Nothing is checked if the probe does not
    know both ends, as in a streamed broadcast. Raises TRUNCATED if the sound ends early and another sound
    track has appeared, in which the programme continues.
    """
    if plan.audio is None or presentation.sound is None:
        return
    if has_new_sound and (presentation.duration - presentation.sound).total_seconds() > _APART:
        raise ProcessingFailedError(Code.TRUNCATED, "the programme continues in another sound track")
    if plan.audio.ends is None:
        return
    length = plan.clip.whole if plan.clip else plan.duration
    picture_ends = length if plan.held_frames else plan.picture_ends
    if picture_ends is None:
        return
    sound_ends = plan.audio.ends
    if plan.clip:
        picture_ends, sound_ends = plan.clip.within(picture_ends), plan.clip.within(sound_ends)
    explained = sound_ends - picture_ends
    found = (presentation.sound - presentation.duration).total_seconds()
    if abs(found - explained) > _APART:
        why = f"the sound ends {found:+.2f} s after the picture, in the source {explained:+.2f} s"
        raise ProcessingFailedError(Code.INTERNAL, f"gate.equal-lengths: {why}", log_tail=why)


async def require_conformance(
    presentation: Presentation, measured: MeasuredSegments, thumbnails: Thumbnails, *, number: int
) -> None:
    """Raises ProcessingFailedError INTERNAL with the names of the broken rules."""
    files = {name: text.encode() for name, text in presentation.texts.items()} | dict(thumbnails.storyboard)
    await require_playlists(presentation.playlists, presentation.master, measured, number=number, files=files)


async def require_playlists(
    playlists: Mapping[str, str],
    master: str,
    measured: MeasuredSegments,
    *,
    number: int,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Checks playlists and other files by path below the encode's prefix, as `require_conformance` does."""
    prefix = f"v{number}/"
    contents = {prefix + name: text.encode() for name, text in playlists.items()}
    contents |= {prefix + name: data for name, data in files.items()}
    contents[MASTER] = master.encode()
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
            for key, iframe in zip(segment.whole.key_frames, segment.iframes, strict=True):
                yield (path, ByteRange(key.offset, key.size)), iframe


def _complaints(report: Report) -> Iterator[str]:
    for outcome in report.broken(Severity.MUST):
        first = outcome.findings[0]
        yield f"{outcome.rule.id}: {first.where}: {first.why}"
