"""Rules for sound without pictures: variants of sound alone, and presentations of it alone."""

from collections.abc import Iterator

from gostream_conformance.formats.mpegts import CLOCK, ticks_between
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.measures import AudioMeasure
from gostream_conformance.tree.presentation import Kind, Presentation

_book = RuleBook()


@_book.must(
    "sounds.attributes",
    "RFC 8216 4.3.4.2",
    "variants of sound alone have no attributes of pictures",
)
def attributes(p: Presentation) -> Iterator[Finding]:
    for variant in p.master.variants if p.master else []:
        if variant.audio_only and variant.resolution is not None:
            yield Finding(f"{p.master_path}:{variant.line}", f"RESOLUTION {variant.resolution} of sound")
        if variant.audio_only and variant.frame_rate is not None:
            yield Finding(f"{p.master_path}:{variant.line}", f"FRAME-RATE {variant.frame_rate} of sound")


@_book.must("sounds.no-pictures", "gostream", "sound alone has no I-frame playlists and no storyboard")
def no_pictures(p: Presentation) -> Iterator[Finding]:
    if not p.is_sound_alone:
        return
    for variant in p.master.iframes if p.master else []:
        yield Finding(f"{p.master_path}:{variant.line}", "an I-frame playlist without pictures")
    for board in p.storyboards:
        yield Finding(board.path, "a storyboard without pictures")


@_book.must("sounds.in-step", "RFC 8216 6.2.4", "all renditions of sound alone begin within one AAC frame")
def in_step(p: Presentation) -> Iterator[Finding]:
    if not p.is_sound_alone:
        return
    first: AudioMeasure | None = None
    for track in p.tracks.values():
        heard = next((audio for _, audio in track.audios()), None)
        if track.kind is not Kind.AUDIO or heard is None:
            continue
        first = first or heard
        apart = abs(ticks_between(first.first_pts, heard.first_pts))
        if apart > first.configs[0].frame_ticks + 1:
            yield Finding(track.path, f"begins {apart / CLOCK * 1000:.1f} ms apart from the first rendition")


RULES = tuple(_book.rules)
