"""Rules about the master playlist: does it say of its variants what their segments say of themselves?"""

from collections.abc import Callable, Iterator

from gostream_conformance.playlist.model import MasterPlaylist, Variant
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.presentation import Kind, Presentation, Track

BANDWIDTH_TOLERANCE = 0.10
PEAK_TO_AVERAGE = 2.0
ASPECT_TOLERANCE = 0.01
FIRST_VARIANT_BANDWIDTH = 2_000_000
_CAPTIONS = "CLOSED-CAPTIONS"
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
        sounds = p.sound_of(variant, track)
        if _is_read(p, variant, track) and not any(t.unsupported for t in (track, *sounds)):
            heard = {config.codec for sound in sounds for config in sound.sounds}
            yield from _compare_codecs(p, variant, _video_codecs(track) | heard)
    for variant, track in p.iframe_tracks:
        yield from _compare_codecs(p, variant, _video_codecs(track))


def _video_codecs(track: Track) -> set[str]:
    return {sps.codec for sps in track.parameter_sets}


def _compare_codecs(p: Presentation, variant: Variant, expected: set[str]) -> Iterator[Finding]:
    said = {codec.lower() for codec in variant.codecs}
    if expected and said != expected:
        yield Finding(_where(p, variant), f"CODECS {_names(said)}, but the segments hold {_names(expected)}")


def _names(codecs: set[str]) -> str:
    return ",".join(sorted(codecs)) or "none"


@_book.must("master.resolution", "9.2", "RESOLUTION is the size of the pictures after cropping")
def resolution(p: Presentation) -> Iterator[Finding]:
    for variant, track in (*p.variant_tracks, *p.iframe_tracks):
        sizes = {(sps.width, sps.height) for sps in track.parameter_sets}
        for width, height in sizes - {variant.resolution}:
            yield Finding(_where(p, variant), f"RESOLUTION {variant.resolution}, pictures {width}x{height}")


@_book.must("master.frame-rate", "9.15", "FRAME-RATE is the rate of the pictures")
def frame_rate(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        if track.parameter_sets and variant.frame_rate is None:
            yield Finding(_where(p, variant), "FRAME-RATE is missing")
        elif variant.frame_rate is not None and (rates := track.frame_rates):
            slowest, fastest = rates
            if not slowest <= variant.frame_rate <= fastest:
                measured = f"{slowest:.3f} to {fastest:.3f}"
                yield Finding(_where(p, variant), f"FRAME-RATE {variant.frame_rate:.3f}, measured {measured}")


@_book.must(
    "master.average-bandwidth", "1.26, 9.14", "AVERAGE-BANDWIDTH is within 10 % of the measured average"
)
def average_bandwidth(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        if _is_read(p, variant, track):
            measured = _with_sound(p, variant, track, lambda t: t.average_bandwidth)
            yield from _near(p, variant, "AVERAGE-BANDWIDTH", variant.average_bandwidth, measured)


@_book.must(
    "master.bandwidth", "1.27, 9.13", "BANDWIDTH is within 10 % of the measured peak, with the largest sound"
)
def bandwidth(p: Presentation) -> Iterator[Finding]:
    for variant, track in p.variant_tracks:
        if _is_read(p, variant, track):
            measured = _with_sound(p, variant, track, lambda t: t.peak_bandwidth)
            yield from _near(p, variant, "BANDWIDTH", variant.bandwidth, measured)
    for variant, track in p.iframe_tracks:
        if track.is_read:
            yield from _near(p, variant, "BANDWIDTH", variant.bandwidth, track.peak_bandwidth)


def _is_read(p: Presentation, variant: Variant, track: Track) -> bool:
    return track.is_read and all(sound.is_read for sound in p.sound_of(variant, track))


def _with_sound(p: Presentation, variant: Variant, track: Track, rate: Callable[[Track], float]) -> float:
    """What a player fetches: the variant and the largest sound beside it; of sounds alone, the largest."""
    sounds = p.sound_of(variant, track)
    if track.kind is Kind.AUDIO:
        return max(rate(t) for t in (track, *sounds))
    return rate(track) + max((rate(sound) for sound in sounds if sound is not track), default=0.0)


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
        if track.is_read and peak > PEAK_TO_AVERAGE * average > 0:
            yield Finding(_where(p, variant), f"peak {peak:.0f} is {peak / average:.1f} times the average")


@_book.must("master.several-variants", "9.9", "a source larger than 360p has at least two variants")
def several_variants(p: Presentation) -> Iterator[Finding]:
    variants = _variants(p)
    playlists = {track.path for _, track in p.variant_tracks}
    largest = max((min(v.resolution) for v in variants if v.resolution), default=0)
    if len(playlists) == 1 and largest > ONE_RUNG_HEIGHT:
        yield Finding(_where(p, variants[0]), f"only one variant, of {variants[0].resolution}")


def _variants(p: Presentation) -> list[Variant]:
    return p.master.variants if p.master else []


@_book.should("master.one-aspect", "1.33", "all variants have one aspect ratio")
def one_aspect(p: Presentation) -> Iterator[Finding]:
    shapes = [
        (variant, sps.width * float(sps.sample_aspect) / sps.height)
        for variant, track in p.variant_tracks
        for sps in track.parameter_sets
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


@_book.must(
    "master.groups", "RFC 8216 4.3.4.1.1, 4.3.4.2", "the other groups resolve, and no group has a name twice"
)
def groups(p: Presentation) -> Iterator[Finding]:
    renditions = p.master.renditions if p.master else []
    known = {(rendition.kind, rendition.group) for rendition in renditions}
    for variant in _variants(p):
        for kind, group in variant.groups.items():
            if kind != "AUDIO" and (kind, group) not in known:
                yield Finding(_where(p, variant), f"{kind}={group!r} names no group")
    names: set[tuple[str, str, str]] = set()
    for r in renditions:
        if (r.kind, r.group, r.name) in names:
            yield Finding(
                f"{p.master_path}:{r.line}", f"the group {r.group!r} has two of the name {r.name!r}"
            )
        names.add((r.kind, r.group, r.name))


@_book.must(
    "master.captions", "RFC 8216 4.3.4.2", "all variants with pictures have CLOSED-CAPTIONS, or none does"
)
def captions(p: Presentation) -> Iterator[Finding]:
    variants = _variants(p)
    names = [v for v in variants if _CAPTIONS in v.groups]
    denies = [v for v in variants if v.denies_captions]
    for variant in variants:
        where = _where(p, variant)
        if denies and not variant.denies_captions:  # NONE counts for the whole playlist, sound alone included
            yield Finding(where, f"not {_CAPTIONS}=NONE, while line {denies[0].line} has it")
        elif names and not denies and variant not in names and not variant.audio_only:
            yield Finding(where, f"no {_CAPTIONS}, while line {names[0].line} has it")


@_book.must("master.iframes", "6.1, 9.3", "there is an I-frame playlist")
def iframes(p: Presentation) -> Iterator[Finding]:
    if p.master and not p.master.iframes and any(t.kind is Kind.VIDEO for _, t in p.variant_tracks):
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
