"""Writes playlists: pure functions of measured segments."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gostream_worker.media_units import CLOCK
from gostream_worker.object_names import AUDIO, TEXT

END = "#EXT-X-ENDLIST"
#: Players without a bandwidth estimate start at the first variant, so the variant nearest to this rate (bits
#: per second) comes first.
START_BANDWIDTH = 2_000_000
_CAPTIONS = "captions"
_VERSION = 6
_FROM_THE_START = "#EXT-X-START:TIME-OFFSET=0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One published segment. `ticks` is its duration in units of CLOCK, `size` in bytes."""

    name: str
    ticks: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IFrame:
    """One key frame for fast forward: a byte range of a segment, shown for `ticks`."""

    name: str
    ticks: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Bits per second, measured by Apple's authoring rules."""

    average: int
    peak: int

    def __add__(self, other: "Bandwidth") -> "Bandwidth":
        return Bandwidth(average=self.average + other.average, peak=self.peak + other.peak)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One variant of the master playlist. `codecs` and `bandwidth` include the sound."""

    uri: str
    width: int
    height: int
    fps: Fraction
    codecs: str
    bandwidth: Bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class IFrameVariant:
    """One I-frame playlist of the master playlist."""

    uri: str
    width: int
    height: int
    codecs: str
    bandwidth: Bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioRendition:
    """A sound shared by all variants. `name` is unique among them, and has no double quotes or line ends.

    `autoselect`: players may choose it for a viewer of its language.
    """

    uri: str
    channels: int
    group: str = AUDIO
    language: str | None = None  # BCP 47
    name: str = "Sound"
    is_default: bool = True
    autoselect: bool = True
    characteristics: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRendition:
    """Subtitles shared by all variants. `name` as in AudioRendition."""

    uri: str
    name: str
    language: str | None = None  # BCP 47
    is_default: bool = False
    is_forced: bool = False
    autoselect: bool = True
    characteristics: str = ""


def target_duration(*renditions: Sequence[Segment]) -> int:
    """Returns one EXT-X-TARGETDURATION for all playlists of a video: the longest segment, rounded."""
    longest = max(segment.ticks for segments in renditions for segment in segments)
    return max(1, math.floor(Fraction(longest, CLOCK) + Fraction(1, 2)))


def media_playlist(segments: Sequence[Segment], *, target: int) -> str:
    """Returns a complete VOD playlist of one rendition."""
    return "\n".join([*_media_head(target), *_listed(segments), END, ""])


def growing_playlist(segments: Sequence[Segment], *, target: int, ended: bool) -> str:
    """Returns an EVENT playlist of the segments so far. Its EXT-X-START makes players begin at its start."""
    head = [*_media_head(target, kind="EVENT"), _FROM_THE_START]
    return "\n".join([*head, *_listed(segments), *([END] if ended else []), ""])


def _listed(segments: Sequence[Segment]) -> list[str]:
    return [line for segment in segments for line in (f"#EXTINF:{segment.ticks / CLOCK:.6f},", segment.name)]


def iframe_playlist(iframes: Sequence[IFrame], *, header: int, target: int) -> str:
    """Returns an I-frame playlist of one rung, whose segments begin with `header` bytes of tables."""
    lines = [
        *_media_head(target),
        "#EXT-X-I-FRAMES-ONLY",
        f'#EXT-X-MAP:URI="{iframes[0].name}",BYTERANGE="{header}@0"',
    ]
    for iframe in iframes:
        lines += [
            f"#EXTINF:{iframe.ticks / CLOCK:.6f},",
            f"#EXT-X-BYTERANGE:{iframe.size}@{iframe.offset}",
            iframe.name,
        ]
    return "\n".join([*lines, END, ""])


def _media_head(target: int, *, kind: str = "VOD") -> list[str]:
    return [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{kind}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]


def measure_bandwidth(segments: Sequence[Segment | IFrame], *, target: int) -> Bandwidth:
    """Returns the average, and the peak of any run of segments that lasts 0.5 to 1.5 target durations."""
    average = _rate(sum(s.size for s in segments), sum(s.ticks for s in segments))
    peak = average
    shortest, longest = target * CLOCK / 2, target * CLOCK * 3 / 2
    for start in range(len(segments)):
        size = ticks = 0
        for segment in segments[start:]:
            size, ticks = size + segment.size, ticks + segment.ticks
            if ticks > longest:
                break
            if ticks >= shortest:
                peak = max(peak, _rate(size, ticks))
    return Bandwidth(average=average, peak=peak)


def largest(rates: Iterable[Bandwidth]) -> Bandwidth:
    """Returns the largest average and the largest peak: a viewer plays one of the renditions."""
    rates = list(rates)
    return Bandwidth(
        average=max((rate.average for rate in rates), default=0),
        peak=max((rate.peak for rate in rates), default=0),
    )


def _rate(size: int, ticks: int) -> int:
    return math.ceil(Fraction(size * 8 * CLOCK, max(1, ticks)))


def master_playlist(
    variants: Sequence[Variant],
    sounds: Sequence[AudioRendition],
    iframes: Sequence[IFrameVariant],
    *,
    texts: Sequence[TextRendition] = (),
    captions: bool = False,
) -> str:
    """Returns the master playlist: first the variant to start with, then the others by falling size.

    `captions`: the pictures contain CEA-608 on channel 1. Otherwise CLOSED-CAPTIONS=NONE is written.
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    lines += [*map(sound_line, sounds), *map(subtitles_line, texts)]
    if captions:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="{_CAPTIONS}",NAME="Captions",'
            'DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID="CC1"'
        )
    first = min(variants, key=lambda variant: abs(variant.bandwidth.peak - START_BANDWIDTH))
    for variant in [first, *(other for other in variants if other is not first)]:
        groups = [AUDIO] if sounds else [], [TEXT] if texts else []
        lines += [_stream_inf(variant, *groups, captions=captions), variant.uri]
    lines += map(_iframe_inf, iframes)
    return "\n".join([*lines, ""])


def sound_line(sound: AudioRendition) -> str:
    """Returns the EXT-X-MEDIA line of a sound."""
    language = f'LANGUAGE="{sound.language}",' if sound.language else ""
    marks = f'CHARACTERISTICS="{sound.characteristics}",' if sound.characteristics else ""
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{sound.group}",{language}NAME="{sound.name}",'
        f"DEFAULT={_yes(sound.is_default)},AUTOSELECT={_yes(sound.autoselect)},{marks}"
        f'CHANNELS="{sound.channels}",URI="{sound.uri}"'
    )


def subtitles_line(text: TextRendition) -> str:
    """Returns the EXT-X-MEDIA of subtitles."""
    language = f'LANGUAGE="{text.language}",' if text.language else ""
    marks = f'CHARACTERISTICS="{text.characteristics}",' if text.characteristics else ""
    return (
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{TEXT}",{language}NAME="{text.name}",'
        f"DEFAULT={_yes(text.is_default)},AUTOSELECT={_yes(text.autoselect)},FORCED={_yes(text.is_forced)},{marks}"
        f'URI="{text.uri}"'
    )


def _yes(said: bool) -> str:
    return "YES" if said else "NO"


def _iframe_inf(variant: IFrameVariant) -> str:
    return (
        f"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={variant.bandwidth.peak},"
        f'AVERAGE-BANDWIDTH={variant.bandwidth.average},CODECS="{variant.codecs}",'
        f'RESOLUTION={variant.width}x{variant.height},URI="{variant.uri}"'
    )


def _stream_inf(variant: Variant, sounds: list[str], texts: list[str], *, captions: bool) -> str:
    attributes = [
        f"BANDWIDTH={variant.bandwidth.peak}",
        f"AVERAGE-BANDWIDTH={variant.bandwidth.average}",
        f'CODECS="{variant.codecs}"',
        f"RESOLUTION={variant.width}x{variant.height}",
        f"FRAME-RATE={float(variant.fps):.3f}",
    ]
    attributes += [*(f'AUDIO="{group}"' for group in sounds), *(f'SUBTITLES="{group}"' for group in texts)]
    attributes.append(f'CLOSED-CAPTIONS="{_CAPTIONS}"' if captions else "CLOSED-CAPTIONS=NONE")
    return "#EXT-X-STREAM-INF:" + ",".join(attributes)
