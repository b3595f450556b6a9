"""Rules about the tree as it is stored or served: files, media types, compression, CORS."""

import posixpath
from collections.abc import Iterator

from gostream_shared.conformance.presentation import Answer, Presentation
from gostream_shared.conformance.rules.rule import Finding, RuleBook

MEDIA_TYPES = {
    ".m3u8": frozenset({"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl"}),
    ".ts": frozenset({"video/mp2t"}),
    ".vtt": frozenset({"text/vtt"}),
    ".jpg": frozenset({"image/jpeg"}),
}
_LISTED = frozenset({".m3u8", ".ts"})  # of what is named by playlists
WORTH_COMPRESSING = 512  # bytes; below, the answer is one packet either way
_CORS = "access-control-allow-origin"

_book = RuleBook()


def _suffix(path: str) -> str:
    return posixpath.splitext(path.partition("?")[0])[1]


@_book.must(
    "whole.no-stray-files", "gostream", "no playlist or segment beside the referenced ones is unreferenced"
)
def no_stray_files(p: Presentation) -> Iterator[Finding]:
    """Directories that hold nothing referenced are another version's, and another publication's business."""
    if p.files is None or not p.tracks:
        return
    referenced = {p.master_path, *p.tracks}
    referenced |= {piece.path for track in p.tracks.values() for piece in track.pieces if piece.path}
    live = {posixpath.dirname(path) for path in referenced}
    for path in sorted(p.files - referenced):
        if posixpath.dirname(path) in live and _suffix(path) in _LISTED:
            yield Finding(path, "nothing refers to it")


@_book.must("whole.media-types", "10.4", "playlists, segments and storyboards carry their media types")
def media_types(p: Presentation) -> Iterator[Finding]:
    for path, answer in _good_answers(p):
        wanted = MEDIA_TYPES.get(_suffix(path))
        said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if wanted and said not in wanted:
            yield Finding(path, f"Content-Type is {said or 'missing'}")


@_book.must("whole.gzip", "10.1", "playlists are sent compressed to those who accept it")
def gzip(p: Presentation) -> Iterator[Finding]:
    for path, answer in _good_answers(p):
        large = _suffix(path) == ".m3u8" and answer.size >= WORTH_COMPRESSING
        if large and answer.headers.get("content-encoding") != "gzip":
            yield Finding(path, "is not compressed")


@_book.must("whole.cors", "gostream", "every answer, errors too, may be read by pages of other origins")
def cors(p: Presentation) -> Iterator[Finding]:
    for path, answer in _good_answers(p):
        if _CORS not in answer.headers:
            yield Finding(path, "no Access-Control-Allow-Origin")
    for asked, answer in p.probes.items():
        if str(answer.status) != asked:
            yield Finding(p.master_path, f"asked for a {asked}, the answer was {answer.status}")
        elif _CORS not in answer.headers:
            yield Finding(p.master_path, f"no Access-Control-Allow-Origin on {asked}")


@_book.must("whole.no-redirects", "8.18", "nothing is redirected")
def no_redirects(p: Presentation) -> Iterator[Finding]:
    for path, answer in p.answers.items():
        if 300 <= answer.status < 400:
            yield Finding(path, f"{answer.status} to {answer.headers.get('location', 'nowhere')[:200]}")


def _good_answers(p: Presentation) -> Iterator[tuple[str, Answer]]:
    return ((path, answer) for path, answer in p.answers.items() if p.over_http and answer.status == 200)


RULES = tuple(_book.rules)
