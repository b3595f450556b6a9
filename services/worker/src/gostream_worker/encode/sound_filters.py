"""Builds the filters that keep any source's sound in step with its picture. Pure."""

from gostream_worker.media_units import SHORTEST_SOUND
from gostream_worker.plan.plan import Plan
from gostream_worker.probe.model import AudioTrack
from gostream_worker.probe.tracks.channels import head_locked

#: Sound that begins later than this many seconds counts as late. With two graphs ffmpeg may then stop after
#: eight pictures.
_LATE = 0.05
#: Seconds of silence beyond which `aresample` is not used: it generates all of it at once, at most 2^27
#: samples.
_LONG = 60
_RATE = 48000


#: Options of `aresample`: errors from 10 ms are corrected by at most 2 % of speed, errors from 20 ms
#: immediately. One AAC frame is longer.
_IN_STEP = "async=1000:min_comp=0.01:min_hard_comp=0.02"
#: Minimum shift of the picture in seconds that also shifts the sound.
_SEEN_SHIFT = 0.002


def _to_speakers(audio: AudioTrack) -> str:
    """Returns a filter from ambisonic sound to stereo, which ffmpeg lacks: two cardioids, left and right.

    W and Y are its first two channels (ACN, SN3D). Head-locked channels are added.
    """
    if not audio.ambisonic:
        return ""
    fixed = head_locked(audio.channels)
    left, right = ("", "") if fixed is None else (f"+0.5*c{fixed}", f"+0.5*c{fixed + 1}")
    return f"pan=stereo|c0=0.5*c0+0.5*c1{left}|c1=0.5*c0-0.5*c1{right},"


def sound_shift(plan: Plan) -> float:
    """Returns the seconds by which the frame grid delays the picture."""
    begins = plan.video.begins or 0.0
    return round(begins * plan.fps) / float(plan.fps) - begins


def sound_label(number: int) -> str:
    """Returns the label of the output of the graphs of a plan's sound."""
    return f"a{number or ''}"


def sound_graphs(
    audio: AudioTrack,
    *,
    shift: float,
    number: int = 0,
    gain: float = 0.0,
    report: str = "",
    cut: str = "",
) -> list[str]:
    """Returns the graphs that keep a plan's sound in step with its timestamps from zero.

    Small errors are corrected by speed, larger ones by silence or a cut. Two graphs survive a change of the
    sound's format. The second one needs gapless sound, or ffmpeg (9.0.2) sometimes hangs between the two: so
    the first one fills gaps, and sound that begins late has one graph. Short sound has one graph too, because
    the second one does not pad it.

    `gain` in decibels is the same for the whole sound. `report`: filters that measure the result. `cut`:
    filters that keep a part of the sound.
    """
    shape = f"sample_fmts=fltp:sample_rates={_RATE}:channel_layouts=stereo"
    moved = f",asetpts=PTS+{shift:.6f}/TB" if abs(shift) > _SEEN_SHIFT else ""
    shaped = f"[0:{audio.index}]{_to_speakers(audio)}aformat={shape}{moved}"
    louder = f",volume={gain:.1f}dB" if gain else ""
    kept = (
        f"{_from_zero((audio.begins or 0) + shift)},apad=whole_dur={SHORTEST_SOUND}{cut and ','}{cut}{louder}"
    )
    kept += _ending(sound_label(number), report)
    is_short = audio.ends is not None and audio.ends < 2 * SHORTEST_SOUND
    if audio.begins is None or audio.begins > _LATE or is_short:
        return [f"{shaped},{kept}"]
    between = f"[sound{number or ''}]"
    return [f"{shaped},aresample={_IN_STEP}{between}", f"{between}{kept}"]


def _ending(label: str, report: str) -> str:
    return f",asplit[{label}][{label}-m];[{label}-m]{report},anullsink" if report else f"[{label}]"


def _from_zero(begins: float) -> str:
    """Returns the filters that keep the sound in step with its timestamps, silent until it begins."""
    if begins <= _LONG:
        return f"aresample={_IN_STEP}:first_pts=0"
    silent = round(begins * _RATE)
    return f"aresample={_IN_STEP}:first_pts={silent},adelay=delays={silent}S:all=1,asetpts=N/SR/TB"
