"""Filters that bring the sound of any source in step with its picture: pure."""

from gostream_worker.media_units import SHORTEST_SOUND
from gostream_worker.plan.plan import Plan
from gostream_worker.probe.model import AudioTrack
from gostream_worker.probe.tracks.channels import head_locked

#: Seconds after the start from which on sound begins late. ffmpeg may stop after eight pictures without it.
_LATE = 0.05


#: Seconds of silence beyond which `aresample` is not used: it makes all of it at once, at most 2^27 samples.
_LONG = 60


_RATE = 48000


#: Of `aresample`: errors from 10 ms on are corrected by at most 2 % of speed, those from 20 ms on at once.
#: One frame of AAC is longer.
_IN_STEP = "async=1000:min_comp=0.01:min_hard_comp=0.02"


#: Seconds from which on the sound is moved with the picture.
_SEEN_SHIFT = 0.002


def _to_speakers(audio: AudioTrack) -> str:
    """ffmpeg has no way from an ambisonic sound to speakers: two cardioids, to the left and to the right.

    W and Y are its first two channels (ACN, SN3D); what does not turn with the head is added.
    """
    if not audio.ambisonic:
        return ""
    fixed = head_locked(audio.channels)
    left, right = ("", "") if fixed is None else (f"+0.5*c{fixed}", f"+0.5*c{fixed + 1}")
    return f"pan=stereo|c0=0.5*c0+0.5*c1{left}|c1=0.5*c0-0.5*c1{right},"


def sound_shift(plan: Plan) -> float:
    """Seconds by which pictures are put later on their grid than they are in the source."""
    begins = plan.video.begins or 0.0
    return round(begins * plan.fps) / float(plan.fps) - begins


def sound_graphs(audio: AudioTrack, *, shift: float) -> list[str]:
    """In step with its timestamps from zero on: small errors by its speed, larger ones by silence or a cut.

    Two graphs survive a change of its format. The second one must get sound without gaps, or ffmpeg (9.0.2)
    sometimes stops for good between the two: so the first one fills them, and sound that begins late has one
    graph. So has short sound, which the second one does not pad.
    """
    shape = f"sample_fmts=fltp:sample_rates={_RATE}:channel_layouts=stereo"
    moved = f",asetpts=PTS+{shift:.6f}/TB" if abs(shift) > _SEEN_SHIFT else ""
    shaped = f"[0:{audio.index}]{_to_speakers(audio)}aformat={shape}{moved}"
    kept = f"{_from_zero((audio.begins or 0) + shift)},apad=whole_dur={SHORTEST_SOUND}[a]"
    is_short = audio.ends is not None and audio.ends < 2 * SHORTEST_SOUND
    if audio.begins is None or audio.begins > _LATE or is_short:
        return [f"{shaped},{kept}"]
    return [f"{shaped},aresample={_IN_STEP}[sound]", f"[sound]{kept}"]


def _from_zero(begins: float) -> str:
    """In step with its timestamps, and silent until it begins."""
    if begins <= _LONG:
        return f"aresample={_IN_STEP}:first_pts=0"
    silent = round(begins * _RATE)
    return f"aresample={_IN_STEP}:first_pts={silent},adelay=delays={silent}S:all=1,asetpts=N/SR/TB"
