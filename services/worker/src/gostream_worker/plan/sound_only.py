"""Plans a source without a picture: every sound at several bit rates. Pure."""

from dataclasses import dataclass
from fractions import Fraction

from gostream_shared.domain.tracks import Track
from gostream_worker.object_names import AUDIO
from gostream_worker.plan.ladder import TRIES_WITH_EXTRAS
from gostream_worker.plan.sounds import Sound, plan_sounds
from gostream_worker.plan.tracks import list_fates
from gostream_worker.probe.model import AudioTrack, Probe

#: Bits per second of the rungs: for speech, for everything, for music that was stored with little loss.
LOW, MIDDLE, HIGH = 64_000, 128_000, 256_000
#: Seconds of a segment.
SEGMENT = Fraction(6)
#: Sources below this sample rate have no sound that MIDDLE would keep and LOW would not.
_NARROW_RATE = 16_000
#: Sources from this rate on are music, whose sound HIGH keeps better.
_FULL_RATE = 44_100
#: Bits per second of a lossy source that justify HIGH.
_RICH = 192_000
_LOSSLESS = ("flac", "alac", "truehd", "mlp", "s302m", "pcm_")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPlan:
    """All inputs of an encode of sound alone. `rates` fall; each sound has a rendition of each rate."""

    sounds: tuple[Sound, ...]  # the default one first
    rates: tuple[int, ...]  # bits per second
    duration: float
    tracks: tuple[Track, ...]
    is_estimated: bool = False  # the duration
    cover: int | None = None

    @property
    def renditions(self) -> list[str]:
        """The folders of all renditions."""
        return [folder_of(sound, rate) for rate in self.rates for sound in self.sounds]


def plan_sound(probe: Probe, *, tries: int) -> SoundPlan:
    """Returns the plan of the attempt with that number of tries.

    If attempts failed, the last one leaves out all sounds except the default one.
    """
    sounds = plan_sounds(probe, may_copy=False, with_extras=tries <= TRIES_WITH_EXTRAS)
    return SoundPlan(
        sounds=sounds,
        rates=_rates(sounds[0].audio),
        duration=probe.duration,
        tracks=list_fates(probe, sounds, ()),
        is_estimated=probe.is_estimated,
        cover=probe.cover,
    )


def rung_name(rate: int) -> str:
    """Returns the name of a rung, for example "128k"."""
    return f"{rate // 1000}k"


def folder_of(sound: Sound, rate: int) -> str:
    """Returns the folder of a sound at that rate: the rung's name, and what tells the sound from others."""
    return rung_name(rate) + sound.folder.removeprefix(AUDIO)


def _rates(audio: AudioTrack) -> tuple[int, ...]:
    if 0 < audio.sample_rate < _NARROW_RATE:
        return (LOW,)
    is_rich = audio.codec.startswith(_LOSSLESS) or audio.bit_rate >= _RICH
    if is_rich and audio.sample_rate >= _FULL_RATE and audio.channels != 1:
        return (HIGH, MIDDLE, LOW)
    return (MIDDLE, LOW)
