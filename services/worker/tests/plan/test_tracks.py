"""What happens to each track of a source."""

from dataclasses import replace
from typing import Any

import pytest

from gostream_shared.domain.tracks import Track, TrackCode, TrackKind, TrackState
from gostream_worker.object_names import sound_folders
from gostream_worker.plan.ladder import make_plan, plan_attempt
from gostream_worker.plan.plan import Plan
from gostream_worker.plan.profiles import DEFAULT_PROFILE
from gostream_worker.plan.sounds import DESCRIBES_VIDEO, MAX_SOUNDS
from gostream_worker.plan.track_names import language_name, unique_names
from gostream_worker.plan.tracks import MAX_LISTED
from gostream_worker.probe.model import AudioTrack, Probe, SourceTrack
from services.worker.tests.plan.test_ladder import VIDEO


def heard(index: int, **said: Any) -> SourceTrack:
    return SourceTrack(index=index, kind="audio", **{"codec": "aac", **said})


def planned(*tracks: SourceTrack, own: int | None = 1, extras: bool = True, **probed: Any) -> Plan:
    """A plan whose sounds are the decodable ones of `tracks`."""
    usable = [
        AudioTrack(index=track.index, codec="aac", channels=6, sample_rate=48000, language=track.language)
        for track in tracks
        if track.kind == "audio" and track.codec == "aac" and not track.is_empty
    ]
    probe = Probe(
        container="matroska",
        duration=60,
        size_bytes=1,
        video=VIDEO,
        audio=next((audio for audio in usable if audio.index == own), None),
        further=tuple(audio for audio in usable if audio.index != own),
        tracks=tracks,
        **probed,
    )
    return make_plan(probe, DEFAULT_PROFILE, with_extras=extras)


def codes(plan: Plan) -> dict[str, str]:
    return {track.id: track.error_code or track.state for track in plan.tracks}


def test_default_sound_comes_first_whatever_its_position() -> None:
    plan = planned(heard(1, language="en"), heard(2, language="de"), heard(3, language="fr"), own=2)

    assert [(sound.folder, sound.name, sound.is_default) for sound in plan.sounds] == [
        ("audio", "Deutsch", True),
        ("audio-en", "English", False),
        ("audio-fr", "Français", False),
    ]
    assert [(track.id, track.is_default) for track in plan.tracks] == [
        ("audio-1", False),
        ("audio-2", True),
        ("audio-3", False),
    ]
    assert plan.renditions[-3:] == ["audio", "audio-en", "audio-fr"]


def test_sound_without_facts_is_named_as_before() -> None:
    plan = planned(heard(1), heard(2))

    assert [sound.name for sound in plan.sounds] == ["Sound", "Sound 2"]
    assert [sound.folder for sound in plan.sounds] == ["audio", "audio-2"]


def test_players_choose_only_between_different_sounds() -> None:
    tracks = [
        heard(1, language="en"),
        heard(2, language="en", is_commentary=True),
        heard(3, language="en", describes_video=True),
        heard(4, language="en"),
        heard(5, language="de", is_commentary=True),
    ]

    sounds = planned(*tracks).sounds

    assert [sound.autoselect for sound in sounds] == [True, False, True, False, False]
    assert [sound.characteristics for sound in sounds] == ["", "", DESCRIBES_VIDEO, "", ""]
    assert [sound.name for sound in sounds] == [
        "English",
        "English (commentary)",
        "English (audio description)",
        "English 2",
        "Deutsch (commentary)",
    ]


def test_unpublished_tracks_have_reasons() -> None:
    tracks = [
        heard(1),
        heard(2, is_empty=True),
        heard(3, codec="atrac9"),
        SourceTrack(index=4, kind="subtitles", codec="pgssub"),
        SourceTrack(index=5, kind="subtitles", codec="dvbsub"),
        SourceTrack(index=6, kind="subtitles", codec="eia_608"),
        SourceTrack(index=7, kind="video", codec="h264"),
        SourceTrack(index=-1, kind="chapters"),
    ]

    assert codes(planned(*tracks)) == {
        "audio-1": TrackState.READY,
        "audio-2": TrackCode.EMPTY_TRACK,
        "audio-3": TrackCode.UNSUPPORTED_AUDIO,
        "subtitles-4": TrackCode.IMAGE_SUBTITLES,
        "subtitles-5": TrackCode.IMAGE_SUBTITLES,
        "subtitles-6": TrackCode.UNSUPPORTED_SUBTITLES,
        "video-7": TrackCode.SECOND_PICTURE,
        "chapters": TrackCode.UNSUPPORTED_CHAPTERS,
    }


def test_further_sounds_are_left_out_if_they_failed() -> None:
    plan = planned(heard(1), heard(2), extras=False)

    assert [sound.folder for sound in plan.sounds] == ["audio"]
    assert codes(plan) == {"audio-1": TrackState.READY, "audio-2": TrackCode.UNREADABLE_AUDIO}


def test_list_of_tracks_is_bounded() -> None:
    texts = [SourceTrack(index=number, kind="subtitles", codec="pgssub") for number in range(10, 400)]

    tracks = planned(*texts, heard(900), own=900).tracks

    assert len(tracks) == MAX_LISTED
    assert tracks[-2].id == "audio-900"
    assert tracks[-1] == Track(
        id="more",
        kind=tracks[0].kind,
        state=TrackState.SKIPPED,
        name="292 more tracks",
        error_code=TrackCode.TOO_MANY_TRACKS,
    )


def test_only_some_sounds_are_published() -> None:
    plan = planned(*(heard(number) for number in range(1, 13)))

    assert len(plan.sounds) == MAX_SOUNDS
    assert list(codes(plan).values()).count(TrackState.READY) == MAX_SOUNDS


def test_folders_of_sounds_differ() -> None:
    assert sound_folders(["en", "en", "de", None, "de"]) == [
        "audio",
        "audio-en",
        "audio-de",
        "audio-2",
        "audio-de-2",
    ]
    assert sound_folders([]) == []


@pytest.mark.parametrize(
    ("tag", "name"),
    [("de", "Deutsch"), ("pt-BR", "Português (BR)"), ("tlh", "tlh"), ("zh-Hant", "中文 (Hant)")],
)
def test_languages_are_named_in_themselves(tag: str, name: str) -> None:
    assert language_name(tag) == name


def test_names_in_a_group_are_unique() -> None:
    names = unique_names(["a", "", "a", "a 2", "", "a"], usual="Sound")

    assert names == ["a", "Sound", "a 2", "a 2 2", "Sound 2", "a 3"]


@pytest.mark.parametrize(("tries", "folders"), [(1, 2), (2, 2), (3, 1)])
def test_third_try_leaves_out_further_tracks(tries: int, folders: int) -> None:
    own, other = (AudioTrack(index=n, codec="aac", channels=2, sample_rate=48000) for n in (1, 2))
    tracks = (heard(1), heard(2), SourceTrack(index=3, kind="subtitles", codec="srt"))
    probe = Probe(
        container="matroska",
        duration=60,
        size_bytes=1,
        video=VIDEO,
        audio=own,
        further=(other,),
        tracks=tracks,
    )

    plan = plan_attempt(probe, DEFAULT_PROFILE, tries=tries)

    assert (len(plan.sounds), len(plan.texts)) == (folders, folders - 1)


def test_captions_in_the_picture_are_a_track() -> None:
    video = replace(VIDEO, has_captions=True)
    probe = Probe(container="mov", duration=60, size_bytes=1, video=video, tracks=())

    (captions,) = make_plan(probe, DEFAULT_PROFILE).tracks

    assert (captions.id, captions.kind, captions.state) == ("captions", TrackKind.SUBTITLES, TrackState.READY)
