"""Rules for EXT-X-MEDIA: languages, forced subtitles, and groups that belong together."""

import re
from collections.abc import Iterator

from gostream_conformance.playlist.model import Rendition
from gostream_conformance.rules.rule import Finding, RuleBook
from gostream_conformance.tree.presentation import Presentation

#: The shape of a language tag (RFC 5646, 2.1), also of private and grandfathered ones.
_TAG = re.compile(r"(?:[A-Za-z]{2,8}|[ix])(?:-[A-Za-z0-9]{1,8})*")
_SUBTITLES = "SUBTITLES"

_book = RuleBook()


def _renditions(p: Presentation) -> list[Rendition]:
    return p.master.renditions if p.master else []


def _where(p: Presentation, rendition: Rendition) -> str:
    return f"{p.master_path}:{rendition.line}"


@_book.must("renditions.language", "RFC 8216 4.3.4.1", "LANGUAGE is a language tag of RFC 5646")
def language(p: Presentation) -> Iterator[Finding]:
    for rendition in _renditions(p):
        if rendition.language and not _TAG.fullmatch(rendition.language):
            yield Finding(_where(p, rendition), f"LANGUAGE={rendition.language[:100]!r} is no language tag")


@_book.must(
    "renditions.forced",
    "RFC 8216 4.3.4.1, gostream",
    "only subtitles are forced, and players may choose them",
)
def forced(p: Presentation) -> Iterator[Finding]:
    for rendition in _renditions(p):
        if rendition.forced and rendition.kind != _SUBTITLES:
            yield Finding(_where(p, rendition), f"FORCED=YES with TYPE={rendition.kind}")
        elif rendition.forced and not rendition.autoselect:
            yield Finding(_where(p, rendition), "FORCED=YES without AUTOSELECT=YES")


@_book.must(
    "renditions.same-members",
    "RFC 8216 4.3.4.1.1",
    "groups of one type have the same members, except for URIs",
)
def same_members(p: Presentation) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Rendition]] = {}
    for rendition in _renditions(p):
        groups.setdefault((rendition.kind, rendition.group), []).append(rendition)
    first: dict[str, tuple[str, list[object]]] = {}
    for (kind, group), members in groups.items():
        facts = sorted((_facts(rendition) for rendition in members), key=repr)
        name, expected = first.setdefault(kind, (group, facts))
        if facts != expected:
            yield Finding(_where(p, members[0]), f"the members of {group!r} are not those of {name!r}")


def _facts(rendition: Rendition) -> object:
    return (
        rendition.name,
        rendition.language,
        rendition.default,
        rendition.autoselect,
        rendition.forced,
        sorted(rendition.characteristics),
    )


@_book.should(
    "renditions.distinct",
    "RFC 8216 4.3.4.1.1",
    "what players choose by themselves differs in language, purpose or characteristics",
)
def distinct(p: Presentation) -> Iterator[Finding]:
    seen: dict[object, str] = {}
    for rendition in _renditions(p):
        if rendition.autoselect and rendition.kind != "CLOSED-CAPTIONS":
            choice = rendition.language, rendition.forced, rendition.characteristics
            name = seen.setdefault((rendition.kind, rendition.group, *choice), rendition.name)
            if name != rendition.name:
                yield Finding(_where(p, rendition), f"players cannot tell {rendition.name!r} from {name!r}")


@_book.must("renditions.every-variant", "gostream", "all variants with pictures have subtitles, or none does")
def every_variant(p: Presentation) -> Iterator[Finding]:
    variants = [variant for variant in (p.master.variants if p.master else []) if not variant.audio_only]
    if any(_SUBTITLES in variant.groups for variant in variants):
        for variant in variants:
            if _SUBTITLES not in variant.groups:
                yield Finding(
                    f"{p.master_path}:{variant.line}", f"no {_SUBTITLES}, while other variants have it"
                )


RULES = tuple(_book.rules)
