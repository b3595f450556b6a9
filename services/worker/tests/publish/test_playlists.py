"""The text of the playlists."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gostream_worker.media_units import CLOCK
from gostream_worker.publish.playlists import (
    AudioRendition,
    Bandwidth,
    IFrame,
    IFrameVariant,
    Segment,
    Variant,
    iframe_playlist,
    master_playlist,
    measure_bandwidth,
    media_playlist,
    target_duration,
)


def segment(seconds: float, size: int = 1000, name: str = "00000.ts") -> Segment:
    return Segment(name=name, ticks=round(seconds * CLOCK), size=size)


def variant(peak: int, height: int = 720, fps: Fraction = Fraction(25)) -> Variant:
    return Variant(
        uri=f"v1/{height}p/playlist.m3u8",
        width=height * 16 // 9,
        height=height,
        fps=fps,
        codecs="avc1.64001f,mp4a.40.2",
        bandwidth=Bandwidth(average=peak // 2, peak=peak),
    )


def test_media_playlist_is_complete_and_exact() -> None:
    text = media_playlist([segment(6.006, name="00000.ts"), segment(1.5, name="00001.ts")], target=6)

    assert text == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXTINF:6.006000,\n00000.ts\n#EXTINF:1.500000,\n00001.ts\n#EXT-X-ENDLIST\n"
    )


def test_target_duration_is_the_longest_segment_rounded() -> None:
    assert target_duration([segment(5.28)], [segment(5.34), segment(1)]) == 5
    assert target_duration([segment(5.5)]) == 6
    assert target_duration([segment(0.04)]) == 1


def test_short_last_segment_does_not_raise_the_peak() -> None:
    segments = [segment(6, 600_000), segment(6, 1_200_000), segment(0.5, 500_000)]

    measured = measure_bandwidth(segments, target=6)

    assert measured.average == 1_472_000
    # 0.5 s is below half a target duration; it counts together with the 6 s before.
    assert measured.peak == -(-1_700_000 * 8 * 10 // 65)


def test_single_short_segment_defines_the_peak() -> None:
    measured = measure_bandwidth([segment(1, 10_000)], target=6)

    assert measured == Bandwidth(average=80_000, peak=80_000)


@given(st.lists(st.tuples(st.floats(0.04, 8), st.integers(188, 10_000_000)), min_size=1, max_size=30))
def test_no_measured_run_exceeds_the_peak(parts: list[tuple[float, int]]) -> None:
    segments = [segment(seconds, size) for seconds, size in parts]
    target = target_duration(segments)

    measured = measure_bandwidth(segments, target=target)

    assert measured.peak >= measured.average > 0
    for one in segments:
        if target * CLOCK / 2 <= one.ticks <= target * CLOCK * 3 / 2:
            assert measured.peak >= one.size * 8 * CLOCK // one.ticks


def test_first_variant_is_nearest_to_two_megabits() -> None:
    master = master_playlist(
        [variant(5_000_000, 1080), variant(2_300_000, 720), variant(700_000, 360)], [], []
    )

    uris = [line for line in master.splitlines() if not line.startswith("#")]
    assert uris == ["v1/720p/playlist.m3u8", "v1/1080p/playlist.m3u8", "v1/360p/playlist.m3u8"]


def test_variant_line_has_all_selection_attributes() -> None:
    master = master_playlist(
        [variant(2_000_000, fps=Fraction(30000, 1001))],
        [AudioRendition(uri="v1/audio/playlist.m3u8", channels=2)],
        [],
    )

    assert (
        "#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1000000,"
        'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio",'
        "CLOSED-CAPTIONS=NONE\n"
        "v1/720p/playlist.m3u8\n"
    ) in master
    assert 'TYPE=AUDIO,GROUP-ID="audio",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"' in master


def test_silent_master_has_no_audio_group() -> None:
    assert "AUDIO" not in master_playlist([variant(1_000_000)], [], [])


def test_i_frame_playlist_lists_ranges_and_tables() -> None:
    iframes = [
        IFrame(name="00000.ts", ticks=180_000, offset=564, size=9400),
        IFrame(name="00001.ts", ticks=90_000, offset=564, size=4700),
    ]

    lines = iframe_playlist(iframes, header=564, target=6).splitlines()

    assert lines[6:] == [
        "#EXT-X-I-FRAMES-ONLY",
        '#EXT-X-MAP:URI="00000.ts",BYTERANGE="564@0"',
        *("#EXTINF:2.000000,", "#EXT-X-BYTERANGE:9400@564", "00000.ts"),
        *("#EXTINF:1.000000,", "#EXT-X-BYTERANGE:4700@564", "00001.ts"),
        "#EXT-X-ENDLIST",
    ]


def test_i_frame_variants_declare_no_sound() -> None:
    trick = IFrameVariant(
        uri="v1/360p/iframes.m3u8",
        width=640,
        height=360,
        codecs="avc1.64001e",
        bandwidth=Bandwidth(average=100_000, peak=150_000),
    )

    master = master_playlist([variant(1_000_000)], [], [trick])

    assert master.splitlines()[-1] == (
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=150000,AVERAGE-BANDWIDTH=100000,"
        'CODECS="avc1.64001e",RESOLUTION=640x360,URI="v1/360p/iframes.m3u8"'
    )


def test_language_and_captions_are_declared() -> None:
    sound = AudioRendition(uri="v1/audio/playlist.m3u8", channels=2, language="de")

    master = master_playlist([variant(1_000_000)], [sound], [], captions=True)

    assert 'GROUP-ID="audio",LANGUAGE="de",NAME="Sound"' in master
    assert 'TYPE=CLOSED-CAPTIONS,GROUP-ID="captions",NAME="Captions",DEFAULT=NO,' in master
    assert 'AUTOSELECT=YES,INSTREAM-ID="CC1"' in master
    assert 'AUDIO="audio",CLOSED-CAPTIONS="captions"' in master
