"""Rules for fragmented MP4: the initialization section, the boxes of segments, and their decoding times.

All other rules for segments apply as well, by the same measures.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

from gostream_conformance.errors import MissingMapError
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.measures import FragmentFacts
from gostream_conformance.tree.presentation import Kind, Piece, Presentation, Track

_book = RuleBook()


def _fragments(p: Presentation) -> Iterator[tuple[Track, Piece, FragmentFacts]]:
    for track in p.tracks.values():
        for piece, measure in track.measured():
            if measure.fragments:
                yield track, piece, measure.fragments


def _each(p: Presentation, faults: Callable[[FragmentFacts], tuple[str, ...]]) -> Iterator[Finding]:
    for _, piece, facts in _fragments(p):
        for fault in faults(facts):
            yield Finding(piece.where, fault)


@_book.must("fragments.map", "RFC 8216 3.3", "every segment has an initialization section of ftyp and moov")
def has_map(p: Presentation) -> Iterator[Finding]:
    for track in p.tracks.values():
        for piece in track.pieces:
            if isinstance(piece.problem, MissingMapError):
                yield Finding(piece.where, str(piece.problem))
    yield from _each(p, lambda facts: facts.map_faults)


@_book.must(
    "fragments.sample-entry", "9.1, ISO 14496-15 5.3.3", "sample entries agree with their parameter sets"
)
def sample_entry(p: Presentation) -> Iterator[Finding]:
    yield from _each(p, lambda facts: facts.entry_faults)


@_book.must("fragments.order", "ISO 14496-12 8.8, RFC 8216 3.3", "every moof is followed by its mdat")
def order(p: Presentation) -> Iterator[Finding]:
    yield from _each(p, lambda facts: facts.order_faults)


@_book.must(
    "fragments.offsets", "MSE byte stream format of ISO BMFF", "offsets count from the moof into its mdat"
)
def offsets(p: Presentation) -> Iterator[Finding]:
    """Ranges of key frames are left out: their segments are checked."""
    for track, piece, facts in _fragments(p):
        for fault in facts.offset_faults if track.kind is not Kind.IFRAMES else ():
            yield Finding(piece.where, fault)


@_book.must(
    "fragments.decode-times", "8.1, RFC 8216 3.3", "tfdt is the end of the durations before, in each track"
)
def decode_times(p: Presentation) -> Iterator[Finding]:
    yield from _each(p, lambda facts: facts.time_faults)
    for track in p.tracks.values():
        if track.kind is Kind.IFRAMES:
            continue
        for one, two in pairwise(track.pieces):
            before = one.measure.fragments if one.measure else None
            after = two.measure.fragments if two.measure else None
            for number in before.ends.keys() & after.begins.keys() if before and after else ():
                if before and after and before.ends[number] != after.begins[number]:
                    yield Finding(
                        two.where,
                        f"track {number} goes on at {after.begins[number]}, "
                        f"the segment before ends at {before.ends[number]}",
                    )


@_book.must(
    "fragments.sync-samples", "ISO 14496-12 8.8.3", "exactly the IDR pictures are marked as sync samples"
)
def sync_samples(p: Presentation) -> Iterator[Finding]:
    yield from _each(p, lambda facts: facts.sync_faults)


@_book.should("fragments.sequence", "ISO 14496-12 8.8.5", "the sequence numbers of fragments rise")
def sequence(p: Presentation) -> Iterator[Finding]:
    for track in p.tracks.values():
        last = -1
        for piece, measure in track.measured() if track.kind is not Kind.IFRAMES else ():
            for number in measure.fragments.sequences if measure.fragments else ():
                if number <= last:
                    yield Finding(piece.where, f"the fragment {number} comes after {last}")
                last = number


RULES = tuple(_book.rules)
