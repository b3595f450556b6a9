"""What TrackService accepts, also from hostile callers."""

from typing import Any

import pytest

from gostream.v1 import track_service_pb2 as messages
from gostream.v1.video_pb2 import Track
from gostream_api.rpc.tracks import validation
from gostream_shared.domain.errors import InvalidRequestError

ID = "0193b3c4-0000-7000-8000-000000000001"
VALID: dict[str, Any] = {
    "video_id": ID,
    "kind": Track.KIND_SUBTITLES,
    "language": "de",
    "size_bytes": 4,
}


def refused(**fields: Any) -> set[str]:
    try:
        validation.add_track(messages.AddTrackRequest(**{**VALID, **fields}))
    except InvalidRequestError as error:
        return {violation.field for violation in error.violations}
    return set()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("de", "de"),
        ("DE-ch", "de-CH"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("de-DE-u-CO-phonebk", "de-DE-u-co-phonebk"),
        ("ast", "ast"),
        ("en-x-Twain", "en-x-twain"),
    ],
)
def test_language_gets_its_usual_case(given: str, kept: str) -> None:
    draft = validation.add_track(messages.AddTrackRequest(**{**VALID, "language": given}))

    assert draft.language == kept


@pytest.mark.parametrize(
    "language",
    [
        "",
        "d",
        "german",
        "de_DE",
        "de-",
        "-de",
        "de--DE",
        "../../etc",
        "de/../en",
        "de\0",
        "de\n",
        "de\r\nURI=x",
        'de",URI="x',
        "ｄｅ",
        "dé",
        "de" + "-abcde" * 10,
        "und",
        "zxx",
        "qaa",
        "mul-DE",
        "x-private",
        "i-klingon",
        " de",
    ],
)
def test_other_languages_are_refused(language: str) -> None:
    assert refused(language=language) == {"language"}


@pytest.mark.parametrize("name", ["x" * 101, "a\0b", "a\nb", "a\u2028b", "\u202eevil", " ", "\u3164"])
def test_hostile_names_are_refused(name: str) -> None:
    assert refused(name=name) == {"name"}


@pytest.mark.parametrize("name", ["", "../../master", "<script>alert(1)</script>", 'a "name"', "Español 🇪🇸"])
def test_odd_names_are_only_text(name: str) -> None:
    assert refused(name=name) == set()


@pytest.mark.parametrize("kind", [Track.KIND_AUDIO, Track.KIND_CHAPTERS, Track.KIND_VIDEO, 0, 99])
def test_other_kinds_are_refused(kind: int) -> None:
    assert refused(kind=kind) == {"kind"}


def test_file_or_url_is_required() -> None:
    assert refused(size_bytes=0) == {"size_bytes"}
    assert refused(size_bytes=-1) == {"size_bytes"}
    assert refused(size_bytes=(5 << 20) + 1) == {"size_bytes"}
    assert refused(source_url="https://a.example/a.srt") == {"size_bytes"}
    assert refused(source_url="https://a.example/a.srt", size_bytes=0) == set()
    assert refused(source_url="https://a.example/" + "a" * 3000, size_bytes=0) == {"source_url"}


@pytest.mark.parametrize("track_id", ["", "subtitles-2", ID.upper(), "../" + ID, ID + "\0"])
def test_ids_of_other_tracks_are_refused(track_id: str) -> None:
    for request in (
        messages.PrepareTrackRequest(video_id=ID, id=track_id),
        messages.DeleteTrackRequest(video_id=ID, id=track_id),
    ):
        with pytest.raises(InvalidRequestError):
            validation.one_track(request)


def test_update_changes_what_the_mask_names() -> None:
    request = messages.UpdateTrackRequest(video_id=ID, track=Track(id=ID, name="x", is_default=True))
    assert validation.update_track(request)[2].fields == {"name", "is_default"}
    request.update_mask.paths.append("is_forced")
    assert validation.update_track(request)[2].fields == {"is_forced"}


@pytest.mark.parametrize("path", ["id", "url", "state", "kind", "language", "*", "__class__"])
def test_other_fields_cannot_be_updated(path: str) -> None:
    request = messages.UpdateTrackRequest(video_id=ID, track=Track(id=ID, name="x"))
    request.update_mask.paths.append(path)
    with pytest.raises(InvalidRequestError):
        validation.update_track(request)
