"""Rules about the master playlist: does it say of its variants what their segments say of themselves?"""

from collections.abc import Iterator

from gostream_shared.conformance.playlist import MasterPlaylist, Variant
from gostream_shared.conformance.presentation import Presentation, Track
from gostream_shared.conformance.rules.rule import Finding, RuleBook
from gostream_shared.conformance.ts import CLOCK

BANDWIDTH_TOLERANCE = 0.10
PEAK_TO_AVERAGE = 2.0
ASPECT_TOLERANCE = 0.01
FRAME_RATE_TOLERANCE = 0.005
FIRST_VARIANT_BANDWIDTH = 2_000_000
ONE_RUNG_HEIGHT = 360  # a source whose shorter side is no more than this needs no second variant

_book = RuleBook()


def _where(p: Presentation, variant: Variant) -> str:
    return f"{p.master_path}:{variant.line}"


@_book.must("master.parses", "RFC 8216 4.1", "the master playlist parses and mixes no media tags in")
def parses(p: Presentation) -> Iterator[Finding]:
    for where, why in p.unparsed:
        if where == p.master_path:
            yield Finding(where, why)


@_book.must("master.codecs", "9.1", "CODECS are those of the parameter sets and audio headers")
def codecs(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        if not _complete(p, variant, track):
            continue
        expected = _video_codecs(track) | {
            config.codec
            for sound in p.sound_of(variant, track)
            for _, a in sound.audios()
            for config in a.configs
        }
        yield from _compare_codecs(p, variant, expected)
    for variant, track in p.iframe_tracks:
        yield from _compare_codecs(p, variant, _video_codecs(track))


def _video_codecs(track: Track) -> set[str]:
    return {sps.codec for _, video in track.videos() for sps in video.parameter_sets}


def _compare_codecs(p: Presentation, variant: Variant, expected: set[str]) -> Iterator[Finding]:
    said = {codec.lower() for codec in variant.codecs}
    if expected and said != expected:
        yield Finding(_where(p, variant), f"CODECS {_names(said)}, but the segments hold {_names(expected)}")


def _names(codecs: set[str]) -> str:
    return ",".join(sorted(codecs)) or "none"


@_book.must("master.resolution", "9.2", "RESOLUTION is the size of the pictures after cropping")
def resolution(p: Presentation) -> Iterator[Finding]:
    for variant, track in (*p.variant_tracks, *p.iframe_tracks):
        sizes = {(sps.width, sps.height) for _, video in track.videos() for sps in video.parameter_sets}
        for width, height in sizes - {variant.resolution}:
            yield Finding(_where(p, variant), f"RESOLUTION {variant.resolution}, pictures {width}x{height}")


@_book.must("master.frame-rate", "9.15", "FRAME-RATE is the rate of the pictures")
def frame_rate(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        videos = [video for _, video in track.videos()]
        if not videos:
            continue
        if variant.frame_rate is None:
            yield Finding(_where(p, variant), "FRAME-RATE is missing")
            continue
        frames = sum(video.frames for video in videos)
        ticks = sum(video.ticks for video in videos)
        shortest = min(video.frame_ticks for video in videos)
        if frames < 2 or ticks <= 0 or shortest <= 0:
            continue
        average, highest = frames * CLOCK / ticks, CLOCK / shortest
        low = average * (1 - FRAME_RATE_TOLERANCE)
        high = max(average, highest) * (1 + FRAME_RATE_TOLERANCE)
        if not low <= variant.frame_rate <= high:
            yield Finding(_where(p, variant), f"FRAME-RATE {variant.frame_rate:.3f}, measured {average:.3f}")


@_book.must(
    "master.average-bandwidth", "1.26, 9.14", "AVERAGE-BANDWIDTH is within 10 % of the measured average"
)
def average_bandwidth(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        if not _complete(p, variant, track):
            continue
        sound = _highest(p, variant, [t.average_bandwidth for t in p.sound_of(variant, track)])
        yield from _near(
            p, variant, "AVERAGE-BANDWIDTH", variant.average_bandwidth, track.average_bandwidth + sound
        )


@_book.must(
    "master.bandwidth", "1.27, 9.13", "BANDWIDTH is within 10 % of the measured peak, with the largest sound"
)
def bandwidth(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        if _complete(p, variant, track):
            yield from _near(p, variant, "BANDWIDTH", variant.bandwidth, _peak(p, variant, track))


def _complete(p: Presentation, variant: Variant, track: Track) -> bool:
    """Whether all bytes were read: figures over half a track would accuse the wrong line."""
    tracks = [track, *p.sound_of(variant, track)]
    return all(t.pieces and all(piece.size for piece in t.pieces) for t in tracks)


def _peak(p: Presentation, variant: Variant, track: Track) -> float:
    return track.peak_bandwidth + _highest(p, variant, [t.peak_bandwidth for t in p.sound_of(variant, track)])


def _highest(p: Presentation, variant: Variant, rates: list[float]) -> float:
    return max(rates, default=0.0) if variant.audio else 0.0


def _near(
    p: Presentation, variant: Variant, name: str, said: int | None, measured: float
) -> Iterator[Finding]:
    if said is None:
        yield Finding(_where(p, variant), f"{name} is missing")
    elif measured and abs(said - measured) > BANDWIDTH_TOLERANCE * measured:
        share = (said - measured) / measured
        yield Finding(_where(p, variant), f"{name} {said}, measured {measured:.0f} ({share:+.0%})")


@_book.should("master.peak-to-average", "1.30", "the peak is at most twice the average")
def peak_to_average(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        average, peak = track.average_bandwidth, track.peak_bandwidth
        if _complete(p, variant, track) and peak > PEAK_TO_AVERAGE * average > 0:
            yield Finding(_where(p, variant), f"peak {peak:.0f} is {peak / average:.1f} times the average")


@_book.must("master.several-variants", "9.9", "a source larger than 360p has at least two variants")
def several_variants(p: Presentation) -> Iterator[Finding]:
    variants = _variants(p)
    if len(variants) == 1 and variants[0].resolution and min(variants[0].resolution) > ONE_RUNG_HEIGHT:
        yield Finding(_where(p, variants[0]), f"only one variant, of {variants[0].resolution}")


def _variants(p: Presentation) -> list[Variant]:
    return p.master.variants if p.master else []


@_book.should("master.one-aspect", "1.33", "all variants have one aspect ratio")
def one_aspect(p: Presentation) -> Iterator[Finding]:
    shapes = [
        (variant, sps.width * float(sps.sample_aspect) / sps.height)
        for variant, track in p.variant_tracks
        for _, video in track.videos()
        for sps in video.parameter_sets[:1]
    ]
    for variant, shape in shapes:
        if abs(shape - shapes[0][1]) > ASPECT_TOLERANCE * shapes[0][1]:
            yield Finding(
                _where(p, variant), f"aspect ratio {shape:.3f}, the first variant's {shapes[0][1]:.3f}"
            )
            return


@_book.should("master.first-variant", "1.32", "the first variant is the one nearest 2 Mb/s")
def first_variant(p: Presentation) -> Iterator[Finding]:
    variants = _variants(p)
    if variants:
        first = variants[0]
        best = min(variants, key=lambda v: abs(v.bandwidth - FIRST_VARIANT_BANDWIDTH))
        if best.bandwidth != first.bandwidth:
            yield Finding(
                _where(p, first), f"{first.bandwidth} b/s, while line {best.line} has {best.bandwidth}"
            )


@_book.must("master.independent-segments", "9.11", "EXT-X-INDEPENDENT-SEGMENTS is set")
def independent_segments(p: Presentation) -> Iterator[Finding]:
    playlists = [track.playlist for _, track in p.variant_tracks if track.playlist]
    if p.master and not p.master.independent_segments and not all(m.independent_segments for m in playlists):
        yield Finding(p.master_path, "EXT-X-INDEPENDENT-SEGMENTS is missing")


@_book.must("master.audio-groups", "8.9, 8.10", "audio groups resolve, and each has one default rendition")
def audio_groups(p: Presentation) -> Iterator[Finding]:
    if p.master:
        yield from _unresolved_groups(p, p.master)
        yield from _defaults(p, p.master)


def _unresolved_groups(p: Presentation, master: MasterPlaylist) -> Iterator[Finding]:
    groups = {r.group for r in master.renditions if r.kind == "AUDIO"}
    for variant in master.variants:
        if variant.audio and variant.audio not in groups:
            yield Finding(_where(p, variant), f"AUDIO={variant.audio!r} names no group")
    for group in groups - {variant.audio for variant in master.variants}:
        yield Finding(p.master_path, f"the audio group {group!r} belongs to no variant")


def _defaults(p: Presentation, master: MasterPlaylist) -> Iterator[Finding]:
    groups: dict[str, list[str]] = {}
    for rendition in master.renditions:
        if rendition.kind == "AUDIO":
            groups.setdefault(rendition.group, []).extend([rendition.name] if rendition.default else [])
    for group, names in groups.items():
        if len(names) != 1:
            yield Finding(p.master_path, f"the audio group {group!r} has {len(names)} default renditions")


@_book.must("master.iframes", "6.1, 9.3", "there is an I-frame playlist")
def iframes(p: Presentation) -> Iterator[Finding]:
    if p.master and not p.master.iframes:
        yield Finding(p.master_path, "no EXT-X-I-FRAME-STREAM-INF")


@_book.must("master.uris-stay", "RFC 8216 10", "no URI leaves the master's directory")
def uris_stay(p: Presentation) -> Iterator[Finding]:
    for where, uri in p.escaping:
        yield Finding(where, f"the URI {uri!r} leaves the tree")


@_book.must("master.uris-answer", "RFC 8216 6.2.1", "every URI can be read")
def uris_answer(p: Presentation) -> Iterator[Finding]:
    for where, why in p.unreadable:
        yield Finding(where, why)


RULES = tuple(_book.rules)
