"""Rules for subtitles: WebVTT segments on the clock of the pictures."""

from collections.abc import Iterator

from gostream_conformance.formats.mpegts import CLOCK, ticks_between
from gostream_conformance.formats.subtitles import TextSegment
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.presentation import Kind, Piece, Presentation, Track

#: Seconds by which subtitles may be early or late, and their playlist longer or shorter than the pictures'.
CLOCK_TOLERANCE = 0.04
LENGTH_TOLERANCE = 0.5
#: Milliseconds by which a cue may miss its segment.
_NEAR = 100

_book = RuleBook()


def _tracks(p: Presentation) -> Iterator[Track]:
    return (track for track in p.tracks.values() if track.kind is Kind.TEXT and track.playlist)


def _texts(p: Presentation) -> Iterator[tuple[Track, Piece, float, TextSegment]]:
    """Yields each read segment with the second at which it begins in its playlist."""
    for track in _tracks(p):
        begins = 0.0
        for piece in track.pieces:
            if piece.text:
                yield track, piece, begins, piece.text
            begins += piece.segment.duration


@_book.must("text.parses", "RFC 8216 3.5", "segments of subtitles are WebVTT")
def parses(p: Presentation) -> Iterator[Finding]:
    for track in _tracks(p):
        for piece in track.pieces:
            if piece.text_problem:
                yield Finding(f"{piece.path}:{piece.text_problem.line}", str(piece.text_problem))


@_book.must("text.timestamp-map", "RFC 8216 3.5", "X-TIMESTAMP-MAP puts time zero at the first picture")
def timestamp_map(p: Presentation) -> Iterator[Finding]:
    starts = [video.first_pts for _, track in p.variant_tracks for _, video in list(track.videos())[:1]]
    if not starts:
        return
    for _, piece, _, text in _texts(p):
        zero = text.mpegts - text.local * CLOCK // 1000
        late = ticks_between(starts[0], zero) / CLOCK
        if abs(late) > CLOCK_TOLERANCE:
            yield Finding(piece.where, f"time zero is {late:+.3f} s from the first picture")


@_book.must("text.cues", "RFC 8216 3.5", "cues end after they begin, and are shown during their segment")
def cues(p: Presentation) -> Iterator[Finding]:
    for _, piece, begins, text in _texts(p):
        first = round(begins * 1000)
        last = first + round(piece.segment.duration * 1000)
        for cue in text.cues:
            where = f"{piece.path}:{cue.line}"
            if cue.end <= cue.start:
                yield Finding(where, "a cue that does not last")
            elif cue.end < first - _NEAR or cue.start > last + _NEAR:
                seconds = f"{cue.start / 1000:.3f} to {cue.end / 1000:.3f}"
                yield Finding(where, f"shown from {seconds}, in a segment from {begins:.3f}")


@_book.must("text.length", "gostream", "subtitles last as long as the pictures")
def length(p: Presentation) -> Iterator[Finding]:
    pictures = [
        track.playlist for _, track in p.variant_tracks if track.kind is Kind.VIDEO and track.playlist
    ]
    for track in _tracks(p) if pictures else ():
        expected = pictures[0].duration
        if track.playlist and abs(track.playlist.duration - expected) > LENGTH_TOLERANCE:
            yield Finding(track.path, f"{track.playlist.duration:.3f} s, the pictures last {expected:.3f} s")


RULES = tuple(_book.rules)
