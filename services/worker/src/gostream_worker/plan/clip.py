"""A part of a film: its frames, and what an encode that was asked for it does otherwise. Pure."""

from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from gostream_shared.domain.videos.options import EncodeOptions
from gostream_worker.failures import Code, ProcessingFailedError

if TYPE_CHECKING:
    from gostream_worker.plan.plan import Plan

#: Seconds by which `end` may lie after the film, whose length callers know rounded.
_NEARLY = 0.5
#: Seconds by which a time is moved, so that rounding it to milliseconds skips no frame.
_BEFORE = 0.001
_RATE = 48_000


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames `first` to `last`, without the latter, of the frame grid of the whole film."""

    first: int
    last: int
    fps: Fraction
    whole: float  # seconds of the whole film

    @property
    def start(self) -> Fraction:
        """The start in seconds."""
        return self.first / self.fps

    @property
    def end(self) -> Fraction:
        return self.last / self.fps

    @property
    def duration(self) -> float:
        return float(self.end - self.start)

    def within(self, time: float) -> float:
        """Returns a time of the source on the clip's clock, limited to the clip."""
        return min(max(time, float(self.start)), float(self.end)) - float(self.start)

    @property
    def picture_filters(self) -> str:
        """The filters that keep the clip's frames of a picture that begins at zero."""
        return f"trim=start_frame={self.first}:end_frame={self.last},setpts=PTS-STARTPTS"

    @property
    def sound_filters(self) -> str:
        """The filters that keep the clip's samples of a sound that begins at zero.

        A sound that ends early is padded to one second, because players need some.
        """
        begin, end = round(self.start * _RATE), round(self.end * _RATE)
        kept = f"atrim=start_sample={begin}:end_sample={end},asetpts=PTS-STARTPTS"
        return f"apad=whole_len={begin + _RATE},{kept}"


def with_options(plan: "Plan", options: EncodeOptions) -> "Plan":
    """Returns the plan of the clip. Raises ProcessingFailedError CLIP if it is not in the film.

    A clip copies no track: a copy can begin only at a key frame, so that the film would begin elsewhere.
    """
    if options.is_clip:
        clip = _clip(plan, options)
        sounds = tuple(replace(sound, is_copied=False, cut_at=None) for sound in plan.sounds)
        plan = replace(plan, clip=clip, duration=clip.duration, copied=None, sounds=sounds)
    if options.poster_at is None:
        return plan
    poster_at = options.poster_at.total_seconds()
    if poster_at >= plan.duration:
        raise _outside("poster_offset", options.poster_at, plan.duration)
    # The poster is the first frame from that time on: a little before the frame that is shown when asked for.
    shown = int(Fraction(poster_at) * plan.fps) / plan.fps
    return replace(plan, asked_poster_at=float(shown) - _BEFORE)


def require_whole(options: EncodeOptions) -> None:
    """Raises ProcessingFailedError CLIP if a part was asked for, of a source of sound alone."""
    if options.is_clip:
        sentence = "start and end need a source with a picture."
        raise ProcessingFailedError(Code.CLIP, sentence, sentence=sentence)


def _clip(plan: "Plan", options: EncodeOptions) -> Clip:
    start, end = options.start or timedelta(0), options.end
    if start.total_seconds() >= plan.duration:
        raise _outside("start", start, plan.duration)
    if end is not None and end.total_seconds() > plan.duration + _NEARLY:
        raise _outside("end", end, plan.duration)
    until = plan.duration if end is None else min(end.total_seconds(), plan.duration)
    first = round(Fraction(start.total_seconds()) * plan.fps)
    last = max(first + 1, round(Fraction(until) * plan.fps))
    return Clip(first, last, plan.fps, plan.duration)


def _outside(field: str, asked: timedelta, duration: float) -> ProcessingFailedError:
    sentence = f"{field} is {asked.total_seconds():.3f} s, but the video lasts {duration:.3f} s."
    return ProcessingFailedError(Code.CLIP, sentence, sentence=sentence)
