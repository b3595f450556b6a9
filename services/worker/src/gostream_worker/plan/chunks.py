"""Divides an encode into chunks that workers can encode at the same time. Pure.

The chunks depend on the source and its plan, never on the number of workers, so the published bytes are the
same with one worker and with many.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from gostream_worker.probe.model import VideoTrack

#: Films shorter than this many seconds are one chunk.
SHORTEST_FILM = 36
#: Chunks of picture that a film is divided into, as far as the limits of a chunk allow it.
_USUAL_CHUNKS = 100
#: Segments of a chunk. The first chunk has the fewest, because viewers wait for it.
_FEWEST, _MOST = 2, 10
#: Last part of a film. Its chunks are half as long, so that all workers end at about the same time.
_LATE = Fraction(1, 5)
#: Seconds that are decoded for filters that remember earlier frames.
_MARGIN = 1.0


class ChunkKind(StrEnum):
    """What a chunk encodes."""

    WHOLE = "whole"  # every output, from the beginning to the end
    PICTURE = "picture"  # a range of every rung that is encoded
    SOUND = "sound"  # every sound and every text, from the beginning to the end
    COPY = "copy"  # the copied picture, from the beginning to the end


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an encode, for one process.

    `number` is its index in the plan's chunks, which are in the order in which viewers need them.
    `start_frame` counts frames of the rungs; a segment begins with it. `frames`: None = to the film's end.
    """

    number: int
    kind: ChunkKind
    start_frame: int = 0
    frames: int | None = None

    @property
    def has_picture(self) -> bool:
        """Whether the chunk encodes pictures."""
        return self.kind in {ChunkKind.WHOLE, ChunkKind.PICTURE}

    @property
    def has_sound(self) -> bool:
        """Whether the chunk has the sounds and the texts."""
        return self.kind in {ChunkKind.WHOLE, ChunkKind.SOUND}

    def has(self, frame: int) -> bool:
        """Returns whether the picture with that number belongs to the chunk."""
        return self.start_frame <= frame and (self.frames is None or frame < self.start_frame + self.frames)


#: The chunk of a film that one process encodes.
WHOLE = Chunk(0, ChunkKind.WHOLE)


def preroll(video: VideoTrack, *, ignores_edits: bool) -> float | None:
    """Returns how many seconds before a chunk's first frame decoding begins.

    None if its frames cannot be found exactly.
    """
    gap = video.seek_gap
    return None if gap is None or ignores_edits or video.leading else gap + _MARGIN


def plan_chunks(*, pictures: int, fps: Fraction, segment_frames: int, has_sound: bool) -> tuple[Chunk, ...]:
    """Returns the chunks of a film of which `pictures` frames are not repetitions of the last one.

    The first chunk of picture comes first, then the sound.
    """
    if pictures < SHORTEST_FILM * fps:
        return (WHOLE,)
    first, *others = _ranges(pictures, segment_frames)
    kinds = [(ChunkKind.PICTURE, *first)]
    if has_sound:
        kinds.append((ChunkKind.SOUND, 0, None))
    kinds += [(ChunkKind.PICTURE, *range_) for range_ in others]
    return tuple(Chunk(number, *kind) for number, kind in enumerate(kinds))


def _ranges(pictures: int, segment_frames: int) -> Iterator[tuple[int, int | None]]:
    """Yields (first frame, frames) of each chunk of picture.

    The last one lasts to the end, and has at least a segment.
    """
    usual = min(max(round(Fraction(pictures, _USUAL_CHUNKS * segment_frames)), _FEWEST), _MOST)
    start, length = 0, _FEWEST * segment_frames
    while pictures - start - length > max(length // 2, segment_frames - 1):
        yield start, length
        start += length
        is_late = pictures - start <= pictures * _LATE
        length = (max(1, usual // 2) if is_late else usual) * segment_frames
    yield start, None
