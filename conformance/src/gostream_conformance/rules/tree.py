"""Rules for the stored or served tree: files, media types, compression, CORS."""

import posixpath
from collections.abc import Iterator

from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.loader import PROBED_BYTES
from gostream_conformance.tree.presentation import Answer, Presentation
from gostream_conformance.tree.sources import ORIGIN, file_of

MEDIA_TYPES = {
    ".m3u8": frozenset({"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl"}),
    ".ts": frozenset({"video/mp2t"}),
    ".mp4": frozenset({"video/mp4", "audio/mp4"}),
    ".m4s": frozenset({"video/mp4", "audio/mp4", "video/iso.segment"}),
    ".vtt": frozenset({"text/vtt"}),
    ".jpg": frozenset({"image/jpeg"}),
}
_LISTED = frozenset({".m3u8", ".ts", ".m4s"})  # files that playlists reference
WORTH_COMPRESSING = 512  # bytes; a smaller response is one packet in any case
_CORS = "access-control-allow-origin"

_book = RuleBook()


def _suffix(path: str) -> str:
    return posixpath.splitext(file_of(path))[1]


@_book.must(
    "whole.no-stray-files",
    "gostream",
    "folders with referenced files have no unreferenced playlists or segments",
)
def no_stray_files(p: Presentation) -> Iterator[Finding]:
    """Ignores directories without referenced files, which belong to another encode."""
    if p.files is None or not p.tracks:
        return
    referenced = {file_of(path) for path in (p.master_path, *p.referenced)}
    live = {posixpath.dirname(file) for file in referenced if posixpath.splitext(file)[1] in _LISTED}
    for file in sorted(p.files - referenced):
        if posixpath.dirname(file) in live and posixpath.splitext(file)[1] in _LISTED:
            yield Finding(file, "is not referenced")


@_book.must("whole.media-types", "10.4", "playlists, segments and storyboards have their media types")
def media_types(p: Presentation) -> Iterator[Finding]:
    for path, answer in _good_answers(p):
        wanted = MEDIA_TYPES.get(_suffix(path))
        found = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if wanted and found not in wanted:
            yield Finding(path, f"Content-Type is {found or 'missing'}")


@_book.must("whole.gzip", "10.1", "playlists are sent with gzip if accepted, all other files uncompressed")
def gzip(p: Presentation) -> Iterator[Finding]:
    for path, answer in _good_answers(p):
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if _suffix(path) != ".m3u8":
            if encoding != "identity":
                yield Finding(path, f"Content-Encoding is {encoding}, requested was identity")
        elif answer.size >= WORTH_COMPRESSING and encoding != "gzip":
            yield Finding(path, "is not compressed")


@_book.must("whole.cors", "gostream", "pages of other origins may read every response, also errors")
def cors(p: Presentation) -> Iterator[Finding]:
    for path, answer in _good_answers(p):
        yield from _allowed(path, answer)
    for asked, (path, answer) in p.probes.items():
        missing = asked == "404" and 400 <= answer.status < 500  # stores may answer 403 for a missing file
        if str(answer.status) != asked and not missing:
            yield Finding(path, f"expected {asked}, the response was {answer.status}")
            continue
        yield from _allowed(path, answer, f" on {asked}")
        if asked == "206":
            yield from _range_fits(p, path, answer)


def _allowed(path: str, answer: Answer, when: str = "") -> Iterator[Finding]:
    """Check the header: browsers accept only `*` or the origin, and only once."""
    allowed = answer.headers.get(_CORS)
    if allowed is None:
        yield Finding(path, f"no Access-Control-Allow-Origin{when}")
    elif allowed not in {"*", ORIGIN}:
        yield Finding(path, f"Access-Control-Allow-Origin is {allowed!r}{when}")


def _range_fits(p: Presentation, path: str, answer: Answer) -> Iterator[Finding]:
    """Check that a 206 response has the requested range and the right total size."""
    found, size = answer.headers.get("content-range", ""), p.answers[path].size
    wanted = min(PROBED_BYTES, size)
    if found not in {f"bytes 0-{wanted - 1}/{total}" for total in (size, "*")}:
        yield Finding(path, f"Content-Range is {found!r}, requested were the first {wanted} bytes of {size}")
    elif answer.size != wanted:
        yield Finding(path, f"the response has {answer.size} bytes, requested were the first {wanted}")


@_book.must("whole.no-redirects", "8.18", "no response is a redirect")
def no_redirects(p: Presentation) -> Iterator[Finding]:
    for path, answer in p.answers.items():
        if 300 <= answer.status < 400:
            yield Finding(path, f"{answer.status} to {answer.headers.get('location', 'nowhere')[:200]}")


def _good_answers(p: Presentation) -> Iterator[tuple[str, Answer]]:
    return ((path, answer) for path, answer in p.answers.items() if p.over_http and answer.status == 200)


RULES = tuple(_book.rules)
