"""Subtitles as segments."""

from gostream_conformance.formats.subtitles import parse_text
from gostream_shared.domain.tracks import TrackCode
from gostream_worker.plan.texts import Text
from gostream_worker.publish.playlists import Segment
from gostream_worker.publish.subtitles import PublishedText, publish_texts
from gostream_worker.text.cues import Cue
from gostream_worker.text.reader import Read

TEXT = Text(index=3, codec="srt", container="matroska", folder="text-en", name="English", language="en")
PICTURES = [Segment(name=f"{n:05}.ts", ticks=seconds * 90_000, size=1) for n, seconds in enumerate((6, 6, 2))]


def published(
    read: Read, *, begins: int = 900_000, attempt: int = 1
) -> tuple[list[PublishedText], dict[int, TrackCode]]:
    found, reasons = publish_texts({TEXT: read}, PICTURES, begins=begins, target=6, attempt=attempt)
    return found, dict(reasons)


def starts(found: list[PublishedText], number: int) -> list[int]:
    return [cue.start for cue in parse_text(found[0].files[f"text-en/{number:05}.vtt"].encode()).cues]


def test_cue_is_in_every_segment_that_shows_it() -> None:
    cues = (Cue(500, 1500, "a"), Cue(5500, 13_000, "b"), Cue(6000, 7000, "c"), Cue(13_900, 20_000, "d"))

    found, reasons = published(cues)

    assert [starts(found, number) for number in range(3)] == [[500, 5500], [5500, 6000], [5500, 13_900]]
    assert reasons == {}


def test_segments_are_on_the_clock_of_the_pictures() -> None:
    found, _ = published((Cue(0, 1000, "a"),))

    text = parse_text(found[0].files["text-en/00000.vtt"].encode())
    assert (text.local, text.mpegts) == (0, 900_000)
    playlist = found[0].files["text-en/playlist.m3u8"]
    assert "#EXT-X-TARGETDURATION:6" in playlist
    assert playlist.count("#EXTINF:6.000000,") == 2
    assert playlist.count(".vtt") == 3


def test_whole_text_is_one_file() -> None:
    found, _ = published((Cue(500, 1500, "a"), Cue(3_601_000, 3_602_000, "beyond")))

    assert found[0].files["text-en/subtitles.vtt"] == "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\na\n"


def test_other_attempts_have_other_names() -> None:
    found, _ = published((Cue(0, 1000, "a"),), attempt=2)

    assert sorted(found[0].files) == [
        "text-en/00000-2.vtt",
        "text-en/00001-2.vtt",
        "text-en/00002-2.vtt",
        "text-en/playlist-2.m3u8",
        "text-en/subtitles-2.vtt",
    ]


def test_text_that_is_not_published_has_a_reason() -> None:
    endless = tuple(Cue(0, 14_000, "x" * 2000) for _ in range(6000))

    assert published(()) == ([], {3: TrackCode.EMPTY_TRACK})
    assert published((Cue(99_000, 100_000, "late"),)) == ([], {3: TrackCode.EMPTY_TRACK})
    assert published(TrackCode.UNREADABLE_SUBTITLES) == ([], {3: TrackCode.UNREADABLE_SUBTITLES})
    assert published(endless) == ([], {3: TrackCode.SUBTITLES_TOO_LARGE})
