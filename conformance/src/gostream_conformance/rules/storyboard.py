"""Rules for storyboards: cues cover the whole video, and their parts are within the pictures."""

from collections.abc import Iterator

from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.presentation import Presentation, Storyboard
from gostream_conformance.tree.storyboards import storyboard_path

#: Largest distance in seconds between the end of the last cue and the end of the video.
END_TOLERANCE = 0.1

_book = RuleBook()


@_book.must("storyboard.parses", "WebVTT 4", "a storyboard is WebVTT, and each cue references a picture")
def parses(p: Presentation) -> Iterator[Finding]:
    for board in p.storyboards:
        if board.problem:
            yield Finding(f"{board.path}:{board.problem.line}", str(board.problem))


@_book.must("storyboard.covers", "gostream", "cues cover the video from start to end without gaps")
def covers(p: Presentation) -> Iterator[Finding]:
    for board in p.storyboards:
        until = 0
        for cue in board.cues:
            where = f"{board.path}:{cue.line}"
            if cue.start != until:
                yield Finding(where, f"starts at {cue.start} ms, the previous cue ends at {until}")
            if cue.end <= cue.start:
                yield Finding(where, f"ends at {cue.end} ms, not after its start")
            until = cue.end
        yield from _ends_right(p, board, until / 1000)


def _ends_right(p: Presentation, board: Storyboard, end: float) -> Iterator[Finding]:
    playlists = [track.playlist for _, track in p.variant_tracks if storyboard_path(track.path) == board.path]
    lasts = max((playlist.duration for playlist in playlists if playlist), default=None)
    if lasts is not None and not board.problem and abs(end - lasts) > END_TOLERANCE:
        yield Finding(board.path, f"ends at {end:.3f} s, the video at {lasts:.3f}")


@_book.must("storyboard.pictures", "ISO 10918-1", "the pictures of a storyboard are JPEGs")
def pictures(p: Presentation) -> Iterator[Finding]:
    for board in p.storyboards:
        for path, error in board.bad_pictures:
            yield Finding(path, str(error))


@_book.must("storyboard.parts", "Media Fragments 4.2.2", "each cue's part is within its picture")
def parts(p: Presentation) -> Iterator[Finding]:
    for board in p.storyboards:
        for cue in board.cues:
            width, height = board.sizes.get(cue.uri, (0, 0))
            if not cue.part or not width:
                continue
            right, bottom = cue.part.x + cue.part.width, cue.part.y + cue.part.height
            if not cue.part.width or not cue.part.height or right > width or bottom > height:
                yield Finding(f"{board.path}:{cue.line}", f"{cue.part} of a picture of {width}x{height}")


RULES = tuple(_book.rules)
