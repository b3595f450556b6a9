"""Writes the master playlist of sound alone. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gostream_worker.publish.playlists import AudioRendition, Bandwidth, sound_line

_VERSION = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundVariant:
    """One rate. `uri` is the playlist of the default sound.

    `sounds`: the default one and the others, if there are several. They are a group of that rate.
    """

    uri: str
    codecs: str
    bandwidth: Bandwidth
    sounds: tuple[AudioRendition, ...] = ()


def master_of_sounds(variants: Sequence[SoundVariant]) -> str:
    """Returns the master playlist, by falling rate.

    A member of a group with the variant's own URI is the sound of the variant, which players do not load a
    second time (RFC 8216, 8.7).
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [sound_line(sound) for variant in variants for sound in variant.sounds]
    for variant in variants:
        lines += [_stream_inf(variant), variant.uri]
    return "\n".join([*lines, ""])


def _stream_inf(variant: SoundVariant) -> str:
    group = f',AUDIO="{variant.sounds[0].group}"' if variant.sounds else ""
    return (
        f"#EXT-X-STREAM-INF:BANDWIDTH={variant.bandwidth.peak},"
        f'AVERAGE-BANDWIDTH={variant.bandwidth.average},CODECS="{variant.codecs}"{group}'
    )
