"""Validates requests of TrackService. Each function raises one InvalidRequestError with all violations."""

import re
from uuid import UUID

from gostream.v1 import track_service_pb2, video_pb2
from gostream_api.rpc import text, validation
from gostream_api.rpc.fields import limits
from gostream_api.rpc.fields.check import Check
from gostream_api.tracks.track_service import TrackDraft
from gostream_shared.domain.companions.added_tracks import MOST_BYTES, TrackChanges
from gostream_shared.egress.guard import MAX_URL

#: RFC 5646, 2.1, without private and grandfathered tags: language, script, region, variants, extensions.
LANGUAGE = re.compile(
    r"[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?"
    r"(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(-[A-WYZa-wyz0-9](-[A-Za-z0-9]{2,8})+)*"
    r"(-[Xx](-[A-Za-z0-9]{1,8})+)?"
)
MAX_LANGUAGE = 35
#: Undetermined, no, several, uncoded or private languages: no use for a viewer's choice.
_NO_LANGUAGE = re.compile(r"(und|zxx|mul|mis|q[a-t][a-z])(-.*)?", re.IGNORECASE)
_UPDATABLE = ("language", "name", "is_default", "is_forced", "is_sdh")
_SUBTITLES = video_pb2.Track.Kind.KIND_SUBTITLES

_ForOneTrack = track_service_pb2.PrepareTrackRequest | track_service_pb2.DeleteTrackRequest


def add_track(request: track_service_pb2.AddTrackRequest) -> TrackDraft:
    """Whether the server fetches from the URL is not checked."""
    check = Check()
    video_id = _video_id(check, request.video_id)
    check.that(
        request.kind == _SUBTITLES, "kind", "must be KIND_SUBTITLES: sounds and chapters come with the source"
    )
    language = _language(check, request.language, "language")
    _name(check, request.name, "name")
    check.text(request.request_id, "request_id", at_most=limits.MAX_REQUEST_ID)
    url = request.source_url
    check.that(len(url) <= MAX_URL, "source_url", f"must have at most {MAX_URL} characters")
    if url:
        check.that(request.size_bytes == 0, "size_bytes", "must be absent if source_url is set")
    else:
        check.that(
            1 <= request.size_bytes <= MOST_BYTES,
            "size_bytes",
            f"must be the exact size of the file in bytes, at most {MOST_BYTES}, unless source_url is set",
        )
    check.end()
    return TrackDraft(
        video_id=video_id,
        language=language,
        name=request.name,
        is_default=request.is_default,
        is_forced=request.is_forced,
        is_sdh=request.is_sdh,
        url=url,
        size_bytes=request.size_bytes,
        request_id=request.request_id or None,
    )


def one_track(request: _ForOneTrack) -> tuple[UUID, UUID]:
    """Returns the id of the video and the id of the track."""
    check = Check()
    video_id = _video_id(check, request.video_id)
    track_id = _track_id(check, request.id, "id")
    check.end()
    return video_id, track_id


def update_track(request: track_service_pb2.UpdateTrackRequest) -> tuple[UUID, UUID, TrackChanges]:
    """Returns the ids and the new values. Without a mask, the fields that are set are changed."""
    check, track = Check(), request.track
    video_id = _video_id(check, request.video_id)
    track_id = _track_id(check, track.id, "track.id")
    paths = set(request.update_mask.paths)
    if not paths:
        paths = {field.name for field, _ in track.ListFields()} & set(_UPDATABLE)
    check.that(bool(paths), "update_mask", f"must name a field: {', '.join(_UPDATABLE)}")
    check.that(paths <= set(_UPDATABLE), "update_mask", f"may name only: {', '.join(_UPDATABLE)}")
    language = _language(check, track.language, "track.language") if "language" in paths else ""
    if "name" in paths:
        _name(check, track.name, "track.name")
    check.end()
    return (
        video_id,
        track_id,
        TrackChanges(
            fields=frozenset(paths),
            language=language,
            name=track.name,
            is_default=track.is_default,
            is_forced=track.is_forced,
            is_sdh=track.is_sdh,
        ),
    )


def video_id(request: track_service_pb2.ListTracksRequest) -> UUID:
    check = Check()
    found = _video_id(check, request.video_id)
    check.end()
    return found


def _language(check: Check, tag: str, name: str) -> str:
    """Returns the tag in the case that RFC 5646 recommends (2.1.1)."""
    is_tag = len(tag) <= MAX_LANGUAGE and LANGUAGE.fullmatch(tag) and not _NO_LANGUAGE.fullmatch(tag)
    check.that(bool(is_tag), name, 'must be a language tag (BCP 47), for example "de" or "pt-BR"')
    return _in_usual_case(tag) if is_tag else ""


def _in_usual_case(tag: str) -> str:
    first, *rest = tag.lower().split("-")
    found = [first]
    for part in rest:
        is_plain = len(found[-1]) != 1  # after a singleton, everything is in lower case
        if is_plain and len(part) == 4 and part.isalpha():
            found.append(part.title())
        elif is_plain and len(part) == 2:
            found.append(part.upper())
        else:
            found.append(part)
    return "-".join(found)


def _name(check: Check, name: str, field: str) -> None:
    check.text(name, field, at_most=limits.MAX_TRACK_NAME)
    check.that(not name or not text.is_blank(name), field, "must not be blank")


def _video_id(check: Check, given: str) -> UUID:
    return _id(check, given, "video_id", "must be a UUID in its canonical lower-case form")


def _track_id(check: Check, given: str, name: str) -> UUID:
    return _id(check, given, name, "must be the id of an added track, a UUID in its canonical form")


def _id(check: Check, given: str, name: str, description: str) -> UUID:
    """Returns the id, or a placeholder after adding a violation."""
    found = validation.canonical_id(given)
    check.that(found is not None, name, description)
    return found or UUID(int=0)
