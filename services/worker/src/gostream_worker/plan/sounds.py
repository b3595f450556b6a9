"""Decides which sounds are published, and how playlists describe them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gostream_worker.object_names import sound_folders
from gostream_worker.plan.stream_copy import sound_fits
from gostream_worker.plan.track_names import name_of, unique_names
from gostream_worker.probe.model import AudioTrack, Probe, SourceTrack

#: Published sounds of one video.
MAX_SOUNDS = 8
DESCRIBES_VIDEO = "public.accessibility.describes-video"
#: Seconds by which another sound may outlast the film before it is cut.
_OVER = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A published sound. `folder` is its folder below `v{n}/`.

    `autoselect`: players may choose it for a viewer of its language. `cut_at`: the second at which it is cut
    because it outlasts the film. `gain`: decibels by which it is made louder.
    """

    audio: AudioTrack
    folder: str
    name: str
    characteristics: str = ""
    is_default: bool = False
    autoselect: bool = True
    is_copied: bool = False
    cut_at: float | None = None
    gain: float = 0.0


def plan_sounds(probe: Probe, *, may_copy: bool, with_extras: bool) -> tuple[Sound, ...]:
    """Returns the published sounds: the film's own sound first, which is the default."""
    audios = [*([probe.audio] if probe.audio else []), *(probe.further if with_extras else ())]
    audios = audios[:MAX_SOUNDS]
    tracks = {track.index: track for track in probe.tracks}
    said = [tracks.get(audio.index, SourceTrack(index=audio.index, kind="audio")) for audio in audios]
    folders = sound_folders([audio.language for audio in audios])
    names = unique_names(map(name_of, said), usual="Sound")
    selected = _autoselected(said)
    return tuple(
        Sound(
            audio=audio,
            folder=folders[number],
            name=names[number],
            characteristics=DESCRIBES_VIDEO if said[number].describes_video else "",
            is_default=number == 0,
            autoselect=selected[number],
            is_copied=may_copy and sound_fits(audio),
            cut_at=probe.duration if number and _outlasts(audio, probe.duration) else None,
        )
        for number, audio in enumerate(audios)
    )


def _outlasts(audio: AudioTrack, duration: float) -> bool:
    return audio.ends is not None and audio.ends > duration + _OVER


def _autoselected(tracks: Sequence[SourceTrack]) -> list[bool]:
    """Returns whether each sound may be chosen by language.

    Sounds that may be must differ in language or characteristics (RFC 8216, 4.3.4.1.1). A commentary is a
    viewer's own choice. The first sound is the default and therefore always may be.
    """
    taken: set[tuple[str | None, bool]] = set()
    found = []
    for number, track in enumerate(tracks):
        key = track.language, track.describes_video
        found.append(number == 0 or (key not in taken and not track.is_commentary))
        if found[-1]:
            taken.add(key)
    return found
